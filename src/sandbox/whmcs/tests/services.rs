use super::*;

/// A mobile service of the demo customer, which has a module, and one that has none.
async fn two(bench: &Bench) -> (String, String) {
    let answer = bench.ok("GetClientsProducts", &[("clientid", DEMO)]).await;
    let rows = answer["products"]["product"].as_array().unwrap().clone();
    let find =
        |group: &str| rows.iter().find(|row| row["groupname"] == group && row["status"] == "Active").unwrap();
    (text(&find("Mobile SIM")["id"]), text(&find("Fiber Internet")["id"]))
}

#[tokio::test]
async fn services_are_texts_and_filters_are_echoed() {
    let bench = Bench::new();
    let answer = bench.ok("GetClientsProducts", &[("clientid", DEMO), ("limitnum", "3")]).await;
    assert_eq!(
        [&answer["clientid"], &answer["serviceid"], &answer["totalresults"], &answer["numreturned"]],
        [&json!("1001"), &Value::Null, &json!("10"), &json!(3)]
    );
    let row = &answer["products"]["product"][0];
    assert_eq!((&row["id"], &row["clientid"]), (&json!("101"), &json!("1001")));
    assert!(row["password"].as_str().is_some_and(|password| !password.is_empty()), "in clear");
    let one = bench.ok("GetClientsProducts", &[("serviceid", "101")]).await;
    assert_eq!((&one["clientid"], &one["totalresults"]), (&Value::Null, &json!("1")));
    let other = bench.ok("GetClientsProducts", &[("clientid", "1002"), ("serviceid", "101")]).await;
    assert_eq!((&other["totalresults"], &other["products"]), (&json!("0"), &json!("")));
    let (sim, _) = two(&bench).await;
    let sim = bench.ok("GetClientsProducts", &[("serviceid", &sim)]).await["products"]["product"][0].clone();
    let fields = sim["customfields"]["customfield"].as_array().unwrap().clone();
    let names: Vec<_> = fields.iter().map(|field| text(&field["name"])).collect();
    assert_eq!(names, ["OpportunityId", "SIM Number", "Serial Number", "EID"]);
    assert!(text(&fields[1]["value"]).starts_with("070"));
    let found =
        bench.ok("GetClientsProducts", &[("clientid", DEMO), ("domain", &text(&sim["domain"]))]).await;
    assert_eq!(found["totalresults"], "1");
    let all = bench.ok("GetClientsProducts", &[("limitnum", "1")]).await;
    assert!(text(&all["totalresults"]).parse::<u64>().unwrap() > 50, "of everybody");
}

#[tokio::test]
async fn a_service_is_changed_without_its_module() {
    let bench = Bench::new();
    let (id, _) = two(&bench).await;
    let row = |answer: Value| answer["products"]["product"][0].clone();
    let before = row(bench.ok("GetClientsProducts", &[("serviceid", &id)]).await);
    let field = before["customfields"]["customfield"][3]["id"].as_u64().unwrap();
    let fields = serialized(&[(field, "89049032000000000000000000000000"), (7, "ignored")]);
    let params = [
        ("serviceid", id.as_str()),
        ("status", "suspended"),
        ("recurringamount", "1234.5"),
        ("notes", "hello"),
        ("domain", ""),
        ("customfields", &fields),
        ("billingcycle", "annually"),
    ];
    assert_eq!(bench.ok("UpdateClientProduct", &params).await, json!({"result": "success", "serviceid": id}));
    assert!(bench.hooks().is_empty(), "no hook is certain on this path");
    let after = row(bench.ok("GetClientsProducts", &[("serviceid", &id)]).await);
    assert_eq!(
        (&after["status"], &after["recurringamount"], &after["notes"]),
        (&json!("Suspended"), &json!("1234.50"), &json!("hello"))
    );
    assert_eq!((&after["domain"], &after["billingcycle"]), (&before["domain"], &json!("Annually")));
    assert_eq!(after["customfields"]["customfield"][3]["value"], "89049032000000000000000000000000");
    bench.ok("UpdateClientProduct", &[("serviceid", &id), ("unset[]", "notes"), ("unset[]", "domain")]).await;
    let blank = row(bench.ok("GetClientsProducts", &[("serviceid", &id)]).await);
    assert_eq!((&blank["notes"], &blank["domain"]), (&json!(""), &json!("")));
    bench.refused("UpdateClientProduct", &[("serviceid", "199")], "Service ID Not Found").await;
}

#[tokio::test]
async fn a_service_that_staff_change_in_the_admin_area_fires_its_hooks() {
    let bench = Bench::new();
    let (id, _) = two(&bench).await;
    let staff = async |id: &str| {
        let params = [("serviceid", id), ("status", "Terminated")];
        bench.installation.staff("UpdateClientProduct", &params).await
    };
    bench.hooks();
    assert_eq!(staff(&id).await["result"], "success");
    assert_eq!(bench.hooks(), ["PreServiceEdit", "ServiceEdit"]);
    let answer = bench.ok("GetClientsProducts", &[("serviceid", &id)]).await;
    assert_eq!(answer["products"]["product"][0]["status"], "Terminated");
    assert_eq!(staff("199").await["message"], "Service ID Not Found");
    assert!(bench.hooks().is_empty());
}

#[tokio::test]
async fn module_commands_change_the_status_of_services_that_have_a_module() {
    let bench = Bench::new();
    let (sim, fibre) = two(&bench).await;
    for (action, status, hooks) in [
        ("ModuleSuspend", "Suspended", ["PreModuleSuspend", "AfterModuleSuspend"]),
        ("ModuleUnsuspend", "Active", ["PreModuleUnsuspend", "AfterModuleUnsuspend"]),
        ("ModuleChangePackage", "Active", ["PreModuleChangePackage", "AfterModuleChangePackage"]),
        ("ModuleTerminate", "Terminated", ["PreModuleTerminate", "AfterModuleTerminate"]),
        ("ModuleCreate", "Active", ["PreModuleCreate", "AfterModuleCreate"]),
    ] {
        bench.hooks();
        assert_eq!(bench.ok(action, &[("accountid", &sim)]).await, json!({"result": "success"}));
        assert_eq!(bench.hooks(), hooks, "{action}");
        let answer = bench.ok("GetClientsProducts", &[("serviceid", &sim)]).await;
        assert_eq!(answer["products"]["product"][0]["status"], status, "{action}");
        bench.refused(action, &[], "Service ID is required").await;
        bench.refused(action, &[("serviceid", "199")], "Service ID not found").await;
        bench.refused(action, &[("serviceid", &fibre)], "Service not assigned to a module").await;
    }
    bench.ok("ModuleChangePw", &[("serviceid", &sim), ("servicepassword", "n3w")]).await;
    let answer = bench.ok("GetClientsProducts", &[("serviceid", &sim)]).await;
    assert_eq!(answer["products"]["product"][0]["password"], "n3w");
    bench.ok("ModuleCustom", &[("serviceid", &sim), ("func_name", "swap")]).await;
    bench.refused("ModuleCustom", &[("serviceid", &sim)], "Function name is required").await;
}

#[tokio::test]
async fn one_cancellation_request_per_service() {
    let bench = Bench::new();
    let params = [("serviceid", "101"), ("type", "Immediate"), ("reason", "Moving & leaving")];
    let answer = bench.ok("AddCancelRequest", &params).await;
    assert_eq!(answer, json!({"result": "success", "serviceid": "101", "userid": "1001"}));
    bench.refused("AddCancelRequest", &params, "Existing Cancellation Request Exists").await;
    bench.refused("AddCancelRequest", &[("serviceid", "1")], "Service ID Not Found").await;
    bench.ok("AddCancelRequest", &[("serviceid", "102")]).await;
    let list = bench.ok("GetCancelledPackages", &[]).await;
    let rows = &list["packages"]["package"];
    assert_eq!(
        (&rows[0]["relid"], &rows[0]["reason"], &rows[0]["type"]),
        (&json!(101), &json!("Moving &amp; leaving"), &json!("Immediate"))
    );
    assert_eq!(rows[1]["type"], "End of Billing Period");
    assert!(bench.hooks().contains(&"CancellationRequest".to_owned()));
}

async fn cron(bench: &Bench) -> Value {
    let request =
        Request::post(format!("/billing/crons/cron.php?clientid={DEMO}")).body(Body::empty()).unwrap();
    serde_json::from_str(&bench.send(request).await.2).unwrap()
}

#[tokio::test]
async fn the_daily_automation_terminates_suspends_and_bills_on_the_sandbox_clock() {
    let bench = Bench::new();
    let (sim, fibre) = two(&bench).await;
    let status = async |id: &str| {
        let answer = bench.ok("GetClientsProducts", &[("serviceid", id)]).await;
        text(&answer["products"]["product"][0]["status"])
    };
    assert_eq!(
        cron(&bench).await,
        json!({"terminated": 0, "suspended": 0, "invoiced": 0}),
        "all is up to date"
    );
    bench.ok("AddCancelRequest", &[("serviceid", &sim), ("type", "Immediate")]).await;
    bench.ok("AddCancelRequest", &[("serviceid", &fibre)]).await;
    assert_eq!(cron(&bench).await["terminated"], 1);
    assert_eq!((status(&sim).await.as_str(), status(&fibre).await.as_str()), ("Terminated", "Active"));

    bench.core.clock.advance(chrono::TimeDelta::days(12));
    let done = cron(&bench).await;
    assert_eq!(done["terminated"], 1, "the end of the billing period has come");
    assert!(done["suspended"].as_u64().unwrap() > 0, "the invoice due in five days was not paid: {done}");
    assert!(bench.hooks().contains(&"AfterModuleSuspend".to_owned()));

    bench.ok("AddInvoicePayment", &[("invoiceid", &text(&bench.invoice_in("Unpaid").await["id"]))]).await;
    bench.ok("AddInvoicePayment", &[("invoiceid", &text(&bench.invoice_in("Unpaid").await["id"]))]).await;
    bench.core.clock.advance(chrono::TimeDelta::days(10));
    assert_eq!(cron(&bench).await["invoiced"], 1);
    assert_eq!(cron(&bench).await["invoiced"], 0, "once");
    assert_eq!(bench.invoice_in("Unpaid").await["id"], 1_500_000_001_u64);
}

#[tokio::test]
async fn an_upgrade_is_priced_and_bills_the_difference() {
    let bench = Bench::new();
    let (_, fibre) = two(&bench).await;
    let good = |extra: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        let mut params = vec![
            ("serviceid", fibre.clone()),
            ("paymentmethod", "mailin".to_owned()),
            ("type", "product".to_owned()),
            ("newproductid", "183".to_owned()),
            ("newproductbillingcycle", "monthly".to_owned()),
        ];
        for (name, value) in extra {
            params.retain(|(key, _)| key != name);
            params.push((name, (*value).to_owned()));
        }
        params
    };
    let refs = |params: &[(&'static str, String)]| -> Vec<(String, String)> {
        params.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
    };
    for (name, value, message) in [
        ("serviceid", "1", "Service ID Not Found"),
        (
            "paymentmethod",
            "cash",
            "Invalid Payment Method. Valid options include banktransfer, directdebit, mailin, stripe",
        ),
        ("type", "colour", "Invalid Upgrade Type"),
        ("newproductbillingcycle", "annually", "Invalid Billing Cycle Requested"),
    ] {
        let params = refs(&good(&[(name, value)]));
        let params: Vec<_> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        bench.refused("UpgradeProduct", &params, message).await;
    }
    let params = refs(&good(&[("calconly", "1")]));
    let params: Vec<_> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let answer = bench.ok("UpgradeProduct", &params).await;
    assert_eq!((&answer["newproductid"], &answer["upgradeinprogress"]), (&json!(183), &json!(0)));
    let params = &params[..params.len() - 1];
    let answer = bench.ok("UpgradeProduct", params).await;
    assert!(answer["orderid"].is_u64() && answer["invoiceid"].is_u64(), "{answer}");
    let again = bench.call("UpgradeProduct", params).await;
    assert!(text(&again["message"]).starts_with("You cannot currently upgrade or downgrade this product"));
}

#[tokio::test]
async fn the_catalogue_and_settings_are_listed() {
    let bench = Bench::new();
    let one = bench.ok("GetProducts", &[("pid", "181,33")]).await;
    assert_eq!(one["totalresults"], 2);
    let row = &one["products"]["product"][0];
    assert_eq!((&row["pid"], &row["paytype"]), (&json!(181), &json!("recurring")));
    assert_eq!(row["pricing"]["JPY"]["monthly"], "6000.00");
    assert_eq!(row["pricing"]["JPY"]["annually"], "-1.00");
    assert_eq!(row["configoptions"], json!({"configoption": []}));
    assert_eq!(bench.ok("GetProducts", &[("pid", "9999")]).await["totalresults"], 0);
    let currency = &bench.ok("GetCurrencies", &[]).await["currencies"]["currency"][0];
    assert_eq!(
        *currency,
        json!({"id": 1, "code": "JPY", "prefix": "¥", "suffix": " JPY", "format": 4, "rate": "1.00000"})
    );
    let gateways = bench.ok("GetPaymentMethods", &[]).await;
    assert_eq!(
        gateways["paymentmethods"]["paymentmethod"][3],
        json!({"module": "stripe", "displayname": "Credit Card"})
    );
    assert_eq!(bench.ok("WhmcsDetails", &[]).await["whmcs"]["version"], "8.13.1");
    let url = bench.ok("GetConfigurationValue", &[("setting", "SystemURL")]).await;
    assert_eq!(url["value"], "https://billing.example.test/billing/");
    bench.refused("GetConfigurationValue", &[], "Parameter setting is required").await;
    bench.refused("GetConfigurationValue", &[("setting", "x")], "Invalid name for parameter setting").await;
    let statuses = bench.ok("GetOrderStatuses", &[]).await;
    assert_eq!(statuses["statuses"]["status"].as_array().unwrap().len(), 4);
    let stats = bench.ok("GetStats", &[("timeline_days", "7")]).await;
    assert_eq!(stats["timeline_data"]["income"].as_object().unwrap().len(), 7);
    assert!(text(&stats["income_alltime"]).ends_with(" JPY"));
    assert_eq!(bench.ok("GetHealthStatus", &[]).await["checks"]["danger"], Value::Null);
    assert_eq!(bench.ok("GetClientsAddons", &[("clientid", DEMO)]).await["addons"], json!({"addon": []}));
    assert_eq!(bench.ok("GetClientsDomains", &[("clientid", DEMO)]).await["domains"], "");
}
