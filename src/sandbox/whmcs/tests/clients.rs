use super::*;

fn new_client(fields: &str) -> Vec<(&str, &str)> {
    vec![
        ("firstname", "Sample"),
        ("lastname", "Buyer"),
        ("email", "buyer@example.test"),
        ("address1", "1-2-3"),
        ("city", "Shibuya-ku"),
        ("state", "Tokyo"),
        ("postcode", "150-0001"),
        ("country", "JP"),
        ("phonenumber", "03-1234-5678"),
        ("password2", "a long password"),
        ("customfields", fields),
    ]
}

fn with<'a>(params: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let kept = params.iter().copied().filter(|(key, _)| *key != name);
    kept.chain((!value.is_empty()).then_some((name, value))).collect()
}

#[tokio::test]
async fn details_are_nested_and_repeated_at_the_top() {
    let bench = Bench::new();
    let answer = bench.ok("GetClientsDetails", &[("clientid", DEMO), ("stats", "1")]).await;
    let client = &answer["client"];
    for key in ["client_id", "userid", "id"] {
        assert_eq!(client[key], 1001);
        assert_eq!(answer[key], 1001);
    }
    assert_eq!(client["owner_user_id"], 5_000_001);
    assert_eq!(client["customfields"][0], json!({"id": 198, "value": "C0000001"}));
    assert_eq!(client["customfields1"], "C0000001");
    assert_eq!(client["users"]["user"][0]["is_owner"], true);
    assert_eq!((&client["currency_code"], &client["credit"]), (&json!("JPY"), &json!("0.00")));
    assert_eq!(answer["stats"]["productsnumtotal"], 10);
    assert_eq!(answer["stats"]["numoverdueinvoices"], 1);
    assert!(answer["stats"]["dueinvoicesbalance"].as_str().unwrap().starts_with('¥'));
    let email = text(&client["email"]).to_uppercase();
    assert_eq!(bench.ok("GetClientsDetails", &[("email", &email)]).await["client"]["id"], 1001);
    bench.refused("GetClientsDetails", &[], "Either clientid Or email Is Required").await;
    bench.refused("GetClientsDetails", &[("clientid", "99")], "Client Not Found").await;
    bench.refused("GetClientsDetails", &[("email", "nobody@example.jp")], "Client Not Found").await;
}

#[tokio::test]
async fn clients_are_paged_sorted_and_searched_by_prefix() {
    let bench = Bench::new();
    let page = bench.ok("GetClients", &[("limitstart", "48"), ("limitnum", "10")]).await;
    assert_eq!(
        (&page["totalresults"], &page["startnumber"], &page["numreturned"]),
        (&json!(50), &json!(48), &json!(2))
    );
    assert_eq!(page["clients"]["client"][1]["id"], 1050);
    let first = bench.ok("GetClients", &[("sorting", "DESC"), ("limitnum", "1")]).await;
    assert_eq!(first["clients"]["client"][0]["id"], 1050);
    let past = bench.ok("GetClients", &[("limitstart", "99")]).await;
    assert_eq!((&past["numreturned"], &past["clients"]), (&json!(0), &json!({"client": []})));

    let email = text(&page["clients"]["client"][1]["email"]);
    let found = bench.ok("GetClients", &[("search", &email)]).await;
    assert_eq!((&found["totalresults"], &found["clients"]["client"][0]["id"]), (&json!(1), &json!(1050)));
    let prefix = &email[..3];
    let found = bench.ok("GetClients", &[("search", prefix), ("orderby", "email")]).await;
    let emails: Vec<String> =
        found["clients"]["client"].as_array().unwrap().iter().map(|c| text(&c["email"])).collect();
    assert!(emails.contains(&email) && emails.is_sorted());
    assert_eq!(bench.ok("GetClients", &[("status", "Closed")]).await["totalresults"], 0);
    let groups = bench.ok("GetClientGroups", &[]).await;
    assert_eq!(groups["groups"]["group"][1]["groupname"], "Staff &amp; Family");
}

#[tokio::test]
async fn a_new_client_is_read_back_with_its_user() {
    let bench = Bench::new();
    let fields = serialized(&[(198, "C0009999"), (203, "Côte d'Ivoire")]);
    let params = with(&new_client(&fields), "companyname", "Acme & Sons");
    assert_eq!(
        bench.ok("AddClient", &params).await,
        json!({"result": "success", "clientid": 1051, "owner_id": 5_000_051})
    );
    assert_eq!(bench.hooks(), ["PreUserAdd", "UserAdd", "EmailPreLog", "ClientAdd"]);
    let client = &bench.ok("GetClientsDetails", &[("clientid", "1051")]).await["client"];
    assert_eq!(client["companyname"], "Acme &amp; Sons");
    assert_eq!(client["customfields"][0]["value"], "C0009999");
    assert_eq!(client["customfields"][3]["value"], "Côte d&#039;Ivoire");
    assert_eq!(bench.ok("GetClients", &[]).await["totalresults"], 51);
    let login = [("email", "buyer@example.test"), ("password2", "a long password")];
    assert_eq!(bench.ok("ValidateLogin", &login).await["userid"], 5_000_051);

    bench.refused("AddClient", &params, "A user already exists with that email address").await;
    let owned = with(&with(&params, "owner_user_id", "5000051"), "password2", "");
    assert_eq!(bench.ok("AddClient", &owned).await["owner_id"], 5_000_051);
    let user = bench.ok("GetUsers", &[("search", "buyer@example.test")]).await;
    assert_eq!(user["users"][0]["clients"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_new_client_is_validated() {
    let bench = Bench::new();
    let fields = serialized(&[(198, "C1")]);
    let good = new_client(&fields);
    for (name, message) in [
        ("firstname", "You did not enter your first name"),
        ("lastname", "You did not enter your last name"),
        ("email", "You did not enter your email address"),
        ("address1", "You did not enter your  address line 1"),
        ("city", "You did not enter your city"),
        ("state", "You did not enter your state"),
        ("postcode", "You did not enter your postcode"),
        ("phonenumber", "You did not enter your phone number"),
        ("country", "Valid country required"),
        ("customfields", "You did not provide required custom field value for Customer Number"),
    ] {
        bench.refused("AddClient", &with(&good, name, ""), message).await;
    }
    for (name, value, message) in [
        ("email", "no address", "The email address you entered was not valid"),
        ("country", "XX", "Valid country required"),
        ("phonenumber", "call me", "Invalid telephone phone number"),
        ("email", "x@blocked.example", "The email address entered is not available for use."),
        ("owner_user_id", "77", "Invalid Owner User ID"),
    ] {
        bench.refused("AddClient", &with(&good, name, value), message).await;
    }
    let skipped = [("email", "a@example.test"), ("password2", "p"), ("skipvalidation", "1")];
    assert_eq!(bench.ok("AddClient", &skipped).await["clientid"], 1051);
}

#[tokio::test]
async fn only_what_is_sent_changes() {
    let bench = Bench::new();
    let fields = serialized(&[(202, "Other")]);
    let params = [
        ("clientid", DEMO),
        ("firstname", "太郎"),
        ("email_preferences[invoice]", "0"),
        ("taxexempt", "true"),
        ("customfields", &fields),
    ];
    assert_eq!(bench.ok("UpdateClient", &params).await, json!({"result": "success", "clientid": DEMO}));
    assert_eq!(bench.hooks(), ["ClientEdit"]);
    let answer = bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await;
    let client = &answer["client"];
    assert_eq!((&client["firstname"], &client["taxexempt"]), (&json!("太郎"), &json!(true)));
    assert_eq!(
        (&client["email_preferences"]["invoice"], &client["email_preferences"]["general"]),
        (&json!("0"), &json!("1"))
    );
    assert_eq!(client["customfields"][0]["value"], "C0000001");
    assert_eq!(client["customfields"][2]["value"], "Other");
    let email = text(&client["email"]);
    assert_eq!(bench.ok("UpdateClient", &[("clientemail", &email), ("city", "X")]).await["clientid"], 1001);

    for (sent, wants) in [("1", true), ("0", false)] {
        bench.ok("UpdateClient", &[("clientid", DEMO), ("marketingoptin", sent)]).await;
        bench.ok("UpdateClient", &[("clientid", DEMO), ("city", "Y")]).await;
        let answer = bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await;
        let client = &answer["client"];
        let shown =
            ["marketing_emails_opt_in", "isOptedInToMarketingEmails"].map(|name| client[name] == wants);
        assert_eq!((shown, &client["emailoptout"]), ([true, true], &json!(!wants)), "{client}");
    }

    bench.refused("UpdateClient", &[("clientid", "3")], "Client ID Not Found").await;
    bench
        .refused("UpdateClient", &[("clientid", "1002"), ("email", &email)], "Duplicate Email Address")
        .await;
    bench
        .refused(
            "UpdateClient",
            &[("clientid", DEMO), ("email", "x")],
            "The email address entered is not valid",
        )
        .await;
    let answer = bench.call("UpdateClient", &[("clientid", DEMO), ("email_preferences[domain]", "0")]).await;
    assert!(
        text(&answer["message"])
            .starts_with("You must have at least one email address enabled to receive domain")
    );
    bench
        .refused(
            "UpdateClient",
            &[("clientid", DEMO), ("cardnum", "4242")],
            "Multiple Credit Card Pay Methods Found",
        )
        .await;
    bench
        .ok("UpdateClient", &[("clientid", DEMO), ("clearcreditcard", "1"), ("email", "new@example.test")])
        .await;
    assert_eq!(bench.ok("GetClientsDetails", &[("email", "new@example.test")]).await["id"], 1001);
    bench.refused("GetClientsDetails", &[("email", &email)], "Client Not Found").await;
}

#[tokio::test]
async fn closing_ends_services_and_open_invoices_and_deleting_leaves_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.ok("CloseClient", &[("clientid", DEMO)]).await["clientid"], DEMO);
    let hooks = bench.hooks();
    assert_eq!(hooks[0], "ClientClose");
    assert_eq!(hooks[1..], ["InvoiceCancelled", "InvoiceCancelled"]);
    let client = bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await;
    assert_eq!(client["client"]["status"], "Closed");
    assert_eq!(bench.ok("GetInvoices", &[("userid", DEMO), ("status", "Unpaid")]).await["totalresults"], 0);
    let services = bench.ok("GetClientsProducts", &[("clientid", DEMO)]).await;
    let open = |row: &&Value| row["status"] == "Active";
    assert_eq!(services["products"]["product"].as_array().unwrap().iter().filter(open).count(), 0);
    bench.refused("CloseClient", &[("clientid", "0")], "Client ID Not Found").await;

    bench.ok("UpdateClient", &[("clientid", DEMO), ("status", "Active")]).await;
    bench.ok("DeleteClient", &[("clientid", DEMO), ("deleteusers", "1")]).await;
    bench.refused("GetClientsDetails", &[("clientid", DEMO)], "Client Not Found").await;
    bench.refused("DeleteClient", &[("clientid", DEMO)], "Client ID Not Found").await;
    assert_eq!(bench.ok("GetClients", &[("limitnum", "1")]).await["clients"]["client"][0]["id"], 1002);
    assert_eq!(bench.ok("GetUsers", &[]).await["totalresults"], 49);
}

#[tokio::test]
async fn contacts_are_added_changed_and_deleted() {
    let bench = Bench::new();
    let params =
        [("clientid", DEMO), ("firstname", "Hana"), ("email", "h@example.test"), ("domainemails", "1")];
    assert_eq!(bench.ok("AddContact", &params).await, json!({"result": "success", "contactid": 1}));
    bench.ok("UpdateContact", &[("contactid", "1"), ("lastname", "O'Hara")]).await;
    let row = &bench.ok("GetContacts", &[("userid", DEMO)]).await["contacts"]["contact"][0];
    assert_eq!(
        (&row["firstname"], &row["lastname"], &row["domainemails"]),
        (&json!("Hana"), &json!("O&#039;Hara"), &json!(1))
    );
    assert_eq!(bench.ok("DeleteContact", &[("contactid", "1")]).await["contactid"], "1");
    assert_eq!(bench.ok("GetContacts", &[("userid", DEMO)]).await["totalresults"], 0);
    assert_eq!(bench.hooks(), ["ContactAdd", "ContactEdit", "ContactDelete"]);
    bench.refused("UpdateContact", &[("contactid", "1")], "Contact ID Not Found").await;
    bench.refused("AddContact", &[("clientid", "7")], "Client ID Not Found").await;
}
