use super::*;

#[tokio::test]
async fn users_are_listed_flat_and_found_by_prefix() {
    let bench = Bench::new();
    let page = bench.ok("GetUsers", &[("limitnum", "2")]).await;
    assert_eq!((&page["totalresults"], &page["numreturned"]), (&json!(50), &json!(2)));
    assert_eq!(page["users"][0]["clients"], json!([{"id": 1001, "isOwner": true}]));
    let email = text(&page["users"][1]["email"]);
    let found = bench.ok("GetUsers", &[("search", &email)]).await;
    assert_eq!((&found["totalresults"], &found["users"][0]["id"]), (&json!(1), &json!(5_000_002)));
    let name = text(&page["users"][1]["firstname"]);
    assert!(bench.ok("GetUsers", &[("search", &name[..2])]).await["totalresults"].as_u64().unwrap() >= 1);
    assert_eq!(bench.ok("GetUsers", &[("search", "zzzz")]).await["users"], json!([]));
    let last = bench.ok("GetUsers", &[("sorting", "DESC"), ("limitnum", "1")]).await;
    assert_eq!(last["users"][0]["id"], 5_000_050);
}

#[tokio::test]
async fn users_are_added_and_changed() {
    let bench = Bench::new();
    let good = [("firstname", "A"), ("lastname", "B"), ("email", "ab@example.test"), ("password2", "secret")];
    for (missing, message) in [
        (0, "You did not enter a first name"),
        (1, "You did not enter a last name"),
        (2, "You did not enter an email address"),
        (3, "You did not enter a password"),
    ] {
        let mut params = good.to_vec();
        params.remove(missing);
        bench.refused("AddUser", &params, message).await;
    }
    let mut wrong = good;
    wrong[2].1 = "nothing";
    bench.refused("AddUser", &wrong, "The email address entered is not valid").await;
    assert_eq!(bench.ok("AddUser", &good).await["user_id"], 5_000_051);
    bench.refused("AddUser", &good, "A user already exists with that email address").await;
    assert_eq!(bench.hooks(), ["PreUserAdd", "UserAdd"]);

    let id = ("user_id", "5000051");
    assert_eq!(bench.ok("UpdateUser", &[id, ("lastname", "C")]).await["user_id"], "5000051");
    bench.refused("UpdateUser", &[("user_id", "9"), ("lastname", "C")], "Invalid User ID requested").await;
    bench
        .refused("UpdateUser", &[id], "At least one of email, firstname, lastname, or language is required")
        .await;
    bench.refused("UpdateUser", &[id, ("email", "x")], "The email address entered is not valid").await;
    let other = text(&bench.ok("GetUsers", &[("limitnum", "1")]).await["users"][0]["email"]);
    bench
        .refused("UpdateUser", &[id, ("email", &other)], "A user already exists with that email address")
        .await;
}

#[tokio::test]
async fn an_invited_user_gets_in_by_the_mailed_link_and_can_be_removed() {
    let bench = Bench::new();
    let email = text(&bench.ok("GetUsers", &[("limitnum", "2")]).await["users"][1]["email"]);
    let invite =
        [("client_id", DEMO), ("email", email.as_str()), ("permissions", "profile,invoices,nonsense")];
    bench.ok("CreateClientInvite", &invite).await;
    let pair = [("user_id", "5000002"), ("client_id", DEMO)];
    bench.refused("GetUserPermissions", &pair, "User is not associated with client").await;

    let mail =
        &bench.ok("GetEmails", &[("clientid", DEMO), ("subject", "Invitation")]).await["emails"]["email"][0];
    let message = text(&mail["message"]);
    let token = message.split("/invite/").nth(1).unwrap().split(' ').next().unwrap();
    let link = Request::get(format!("/billing/index.php?rp=/invite/{token}")).body(Body::empty()).unwrap();
    assert_eq!(bench.send(link).await.0, StatusCode::OK);
    let again = Request::get(format!("/billing/index.php?rp=/invite/{token}")).body(Body::empty()).unwrap();
    assert_eq!(bench.send(again).await.0, StatusCode::NOT_FOUND);

    let permissions = bench.ok("GetUserPermissions", &pair).await;
    assert_eq!(permissions["permissions"], json!({"permission": ["profile", "invoices"]}));
    let [user, client] = pair;
    bench.ok("UpdateUserPermissions", &[user, client, ("permissions", "tickets")]).await;
    assert_eq!(bench.ok("GetUserPermissions", &pair).await["permissions"]["permission"], json!(["tickets"]));
    bench.refused("UpdateUserPermissions", &pair, "Missing permissions definition").await;
    bench.refused("CreateClientInvite", &invite, "User already associated with client").await;
    let users = bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["users"]["user"].clone();
    assert_eq!(users.as_array().unwrap().len(), 2);

    let owner = [("user_id", "5000001"), ("client_id", DEMO)];
    bench.refused("DeleteUserClient", &owner, "You cannot remove the account owner").await;
    let set = [owner[0], owner[1], ("permissions", "tickets")];
    bench.refused("UpdateUserPermissions", &set, "Permissions cannot be set on a client owner").await;
    bench.ok("DeleteUserClient", &pair).await;
    bench.refused("DeleteUserClient", &pair, "User is not associated with client").await;
}

#[tokio::test]
async fn permission_calls_name_what_is_wrong() {
    let bench = Bench::new();
    for action in ["GetUserPermissions", "UpdateUserPermissions", "DeleteUserClient"] {
        bench.refused(action, &[("user_id", "1"), ("client_id", DEMO)], "Invalid user id").await;
        bench.refused(action, &[("user_id", "5000001"), ("client_id", "1")], "Invalid client id").await;
        let strangers = [("user_id", "5000001"), ("client_id", "1002")];
        bench.refused(action, &strangers, "User is not associated with client").await;
    }
    for (params, message) in [
        (vec![("client_id", DEMO)], "Email is required"),
        (vec![("client_id", "1"), ("email", "x@example.test")], "Invalid client id"),
        (vec![("client_id", DEMO), ("email", "x")], "The email address entered is not valid"),
        (vec![("client_id", DEMO), ("email", "x@example.test")], "User permissions are required"),
    ] {
        bench.refused("CreateClientInvite", &params, message).await;
    }
    let list = bench.call("GetPermissionsList", &[]).await;
    assert_eq!((&list["status"], &list["result"]), (&json!("success"), &Value::Null));
    assert_eq!(list["permissions"]["permission"].as_array().unwrap().len(), 13);
}
