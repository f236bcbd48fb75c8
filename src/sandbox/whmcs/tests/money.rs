use super::*;
use crate::sandbox::whmcs::Dialect;

#[tokio::test]
async fn payments_bring_the_balance_down_and_what_is_left_over_becomes_credit() {
    let bench = Bench::new();
    let id = bench.new_invoice(DEMO, "100").await;
    let pay = |amount: &'static str| {
        let id = id.clone();
        let bench = &bench;
        async move {
            let params =
                [("invoiceid", id.as_str()), ("transid", "t1"), ("gateway", "stripe"), ("amount", amount)];
            bench.hooks();
            assert_eq!(bench.ok("AddInvoicePayment", &params).await, json!({"result": "success"}));
            (bench.invoice(&id).await, bench.hooks())
        }
    };
    let (invoice, hooks) = pay("40").await;
    assert_eq!(
        (&invoice["status"], &invoice["balance"], &invoice["invoicenum"]),
        (&json!("Unpaid"), &json!("60.00"), &json!(""))
    );
    assert_eq!(hooks, ["AddTransaction", "AddInvoicePayment"]);
    let (invoice, hooks) = pay("75").await;
    assert_eq!((&invoice["status"], &invoice["balance"]), (&json!("Paid"), &json!("-15.00")));
    assert!(text(&invoice["invoicenum"]).starts_with("INV-"), "a number on payment");
    assert_eq!(
        hooks,
        ["AddTransaction", "AddInvoicePayment", "InvoicePaidPreEmail", "EmailPreLog", "InvoicePaid"]
    );
    assert_eq!(bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["credit"], "15.00");
    let same = bench.ok("GetTransactions", &[("clientid", DEMO), ("transid", "t1")]).await;
    assert_eq!(same["totalresults"], 2, "nothing keeps a transid from being booked twice");
    assert_eq!(pay("10").await.1, ["AddTransaction", "AddInvoicePayment"], "paying a paid invoice is credit");
    assert_eq!(bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["credit"], "25.00");

    let other = bench.new_invoice(DEMO, "7").await;
    bench.ok("AddInvoicePayment", &[("invoiceid", &other), ("transid", "t2"), ("gateway", "mailin")]).await;
    assert_eq!(bench.invoice(&other).await["status"], "Paid", "no amount means all of it");
    bench.refused("AddInvoicePayment", &[("invoiceid", "3")], "Invoice ID Not Found").await;
    let cancelled = text(&bench.invoice_in("Cancelled").await["id"]);
    let message = "It is not possible to add a payment to an invoice that is Cancelled";
    bench.refused("AddInvoicePayment", &[("invoiceid", &cancelled)], message).await;
}

#[tokio::test]
async fn a_paid_renewal_moves_the_due_date_and_brings_a_suspended_service_back() {
    let bench = Bench::new();
    let invoice = bench
        .ok(
            "GetInvoices",
            &[("userid", DEMO), ("status", "Unpaid"), ("orderby", "duedate"), ("order", "desc")],
        )
        .await;
    let id = text(&invoice["invoices"]["invoice"][0]["id"]);
    let row = |bench: &Bench, id: String| {
        let bench = bench.clone();
        async move {
            bench.ok("GetClientsProducts", &[("serviceid", &id)]).await["products"]["product"][0].clone()
        }
    };
    let items = bench.invoice(&id).await["items"]["item"].clone();
    let mut services = Vec::new();
    for item in items.as_array().unwrap() {
        services.push(row(&bench, text(&item["relid"])).await);
    }
    let sim = services.iter().find(|service| service["groupname"] == "Mobile SIM").unwrap().clone();
    bench.ok("ModuleSuspend", &[("serviceid", &text(&sim["id"])), ("suspendreason", "unpaid")]).await;
    bench.hooks();
    bench.ok("AddInvoicePayment", &[("invoiceid", &id), ("transid", "x"), ("gateway", "stripe")]).await;
    assert!(bench.hooks().contains(&"AfterModuleUnsuspend".to_owned()));
    let after = row(&bench, text(&sim["id"])).await;
    assert_eq!((&after["status"], &after["suspensionreason"]), (&json!("Active"), &json!("")));
    assert!(text(&after["nextduedate"]) > text(&sim["nextduedate"]));
}

#[tokio::test]
async fn a_stored_card_is_charged_or_declined() {
    let bench = Bench::new();
    let create = |gateway: &'static str| {
        let bench = &bench;
        async move {
            let params = [
                ("userid", DEMO),
                ("paymentmethod", gateway),
                ("itemdescription1", "A"),
                ("itemamount1", "10"),
            ];
            text(&bench.ok("CreateInvoice", &params).await["invoiceid"])
        }
    };
    let id = create("stripe").await;
    bench.ok("CapturePayment", &[("invoiceid", &id)]).await;
    let invoice = bench.invoice(&id).await;
    assert_eq!((&invoice["status"], &invoice["balance"]), (&json!("Paid"), &json!("0.00")));
    assert_ne!(invoice["lastcaptureattempt"], "0000-00-00 00:00:00");
    bench.refused("CapturePayment", &[("invoiceid", &id)], "Invoice Not Found or Not Unpaid").await;
    bench.refused("CapturePayment", &[("invoiceid", "4")], "Invoice Not Found or Not Unpaid").await;
    let transfer = create("banktransfer").await;
    bench.refused("CapturePayment", &[("invoiceid", &transfer)], "Payment Attempt Failed").await;

    let declined = [
        ("clientid", DEMO),
        ("type", "RemoteCreditCard"),
        ("gateway_module_name", "stripe"),
        ("card_number", "4000000000000002"),
        ("card_expiry", "1239"),
        ("set_as_default", "1"),
    ];
    bench.ok("AddPayMethod", &declined).await;
    let next = create("stripe").await;
    bench.refused("CapturePayment", &[("invoiceid", &next)], "Payment Attempt Failed").await;
    assert_eq!(bench.invoice(&next).await["status"], "Unpaid");

    let warning = Bench::with(Settings {
        dialect: Dialect { capture_warning: true, ..Dialect::default() },
        ..Settings::default()
    });
    let id = warning.new_invoice(DEMO, "10").await;
    let answer = warning.call("CapturePayment", &[("invoiceid", &id)]).await;
    assert_eq!(answer, json!({"warning": "Invalid or missing payment information"}));
}

#[tokio::test]
async fn a_transaction_needs_a_unique_reference_and_a_known_owner() {
    let bench = Bench::new();
    let good = [("userid", DEMO), ("paymentmethod", "stripe"), ("transid", "r1"), ("amountout", "5.00")];
    bench.ok("AddTransaction", &good).await;
    bench.refused("AddTransaction", &good, "Transaction ID must be Unique").await;
    bench.ok("AddTransaction", &[good[0], good[1], good[2], ("allowduplicatetransid", "1")]).await;
    let seeded = format!("ch_sandbox_{}", text(&bench.invoice_in("Paid").await["id"]));
    bench
        .refused("AddTransaction", &[good[0], good[1], ("transid", &seeded)], "Transaction ID must be Unique")
        .await;
    let theirs = text(&bench.ok("GetInvoices", &[("userid", "1002")]).await["invoices"]["invoice"][0]["id"]);
    for (params, message) in [
        (vec![("userid", "1"), good[1]], "Client ID Not Found"),
        (vec![("invoiceid", "2"), good[1]], "Invoice ID Not Found"),
        (vec![good[0], ("invoiceid", &theirs), good[1]], "User ID does not own the given Invoice ID"),
        (vec![good[0], ("currencyid", "9"), good[1]], "Currency ID Not Found"),
        (vec![good[0], ("currencyid", "2"), good[1]], "Currency ID does not match Client currency"),
        (vec![good[1]], "A Currency ID is required for non-customer related transactions"),
        (vec![good[0]], "Payment Method is required"),
    ] {
        bench.refused("AddTransaction", &params, message).await;
    }
    bench.ok("AddTransaction", &[good[1], ("currencyid", "2"), ("transid", "loose")]).await;
    assert_eq!(
        bench.ok("GetTransactions", &[("transid", "loose")]).await["transactions"]["transaction"][0]["currency"],
        "2"
    );
    bench.ok("AddTransaction", &[good[0], good[1], ("amountin", "30"), ("credit", "1")]).await;
    assert_eq!(bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["credit"], "30.00");

    let row = bench.ok("GetTransactions", &[("clientid", DEMO), ("transid", "r1")]).await["transactions"]["transaction"][0].clone();
    let id = text(&row["id"]);
    assert_eq!(row["amountout"], "5.00");
    assert_eq!(
        bench.ok("UpdateTransaction", &[("transactionid", &id), ("fees", "1.5")]).await["transactionid"],
        id.as_str()
    );
    let row = bench.ok("GetTransactions", &[("clientid", DEMO), ("transid", "r1")]).await["transactions"]["transaction"][0].clone();
    assert_eq!(row["fees"], "1.50");
    bench.refused("UpdateTransaction", &[("transactionid", "8")], "Transaction ID Not Found").await;
}

#[tokio::test]
async fn credit_is_added_removed_and_applied() {
    let bench = Bench::new();
    let add = |amount: &'static str, kind: &'static str| {
        [("clientid", DEMO), ("description", "Goodwill"), ("amount", amount), ("type", kind)]
    };
    assert_eq!(bench.ok("AddCredit", &add("12.50", "add")).await["newbalance"], "12.50");
    assert_eq!(bench.ok("AddCredit", &add("2", "remove")).await["newbalance"], "10.50");
    for (params, message) in [
        (vec![("clientid", DEMO), ("amount", "1"), ("type", "lend")], "Type can only be add or remove"),
        (vec![("clientid", "1"), ("amount", "1")], "Client ID Not Found"),
        (vec![("clientid", DEMO), ("amount", "1"), ("adminid", "9")], "Admin ID Not Found"),
        (vec![("clientid", DEMO)], "No Amount Provided"),
        (vec![("clientid", DEMO), ("amount", "1.234")], "Amount must be in decimal format: ### or ###.##"),
        (vec![("clientid", DEMO), ("amount", "-1")], "Amount must be in decimal format: ### or ###.##"),
        (vec![("clientid", DEMO), ("amount", "1"), ("date", "soon")], "Date Format is not Valid"),
    ] {
        bench.refused("AddCredit", &params, message).await;
    }
    let id = bench.new_invoice(DEMO, "8").await;
    let apply = |amount: &'static str| [("invoiceid", id.as_str()), ("amount", amount)];
    bench.refused("ApplyCredit", &[("invoiceid", "1"), ("amount", "1")], "Invoice ID Not Found").await;
    bench.refused("ApplyCredit", &apply("0"), "Credit Amount to apply must be greater than zero").await;
    bench.refused("ApplyCredit", &apply("99"), "Amount exceeds customer credit balance").await;
    bench.refused("ApplyCredit", &apply("9"), "Amount Exceeds Invoice Balance").await;
    let answer = bench.ok("ApplyCredit", &apply("3")).await;
    assert_eq!(
        answer,
        json!({"result": "success", "invoiceid": id, "amount": "3.00", "invoicepaid": "false"})
    );
    let invoice = bench.invoice(&id).await;
    assert_eq!(
        (&invoice["credit"], &invoice["total"], &invoice["balance"]),
        (&json!("3.00"), &json!("5.00"), &json!("5.00"))
    );
    assert_eq!(invoice["transactions"], "", "credit is no transaction");
    assert_eq!(bench.ok("ApplyCredit", &apply("full")).await["invoicepaid"], "true");
    bench.refused("ApplyCredit", &apply("1"), "Invoice Not in Unpaid Status").await;
    let log = bench.ok("GetCredits", &[("clientid", DEMO)]).await;
    let rows = log["credits"]["credit"].as_array().unwrap();
    assert_eq!(rows.last().unwrap()["amount"], "-5.00");
    assert_eq!(text(&rows.last().unwrap()["relid"]), id);
    bench.refused("GetCredits", &[("clientid", "2")], "Client ID Not Found").await;
}

#[tokio::test]
async fn pay_methods_are_masked_owned_and_checked() {
    let bench = Bench::new();
    let list = bench.ok("GetPayMethods", &[("clientid", DEMO)]).await;
    let rows = list["paymethods"].as_array().unwrap();
    assert_eq!((&list["clientid"], rows.len()), (&json!(DEMO), 3));
    assert_eq!((&rows[0]["type"], &rows[2]["type"]), (&json!("RemoteCreditCard"), &json!("BankAccount")));
    assert!(rows[2]["bank_name"].is_string() && rows[2]["card_last_four"].is_null());
    let cards = bench.ok("GetPayMethods", &[("clientid", DEMO), ("type", "CreditCard")]).await;
    assert_eq!(cards["paymethods"].as_array().unwrap().len(), 2);
    bench.refused("GetPayMethods", &[], "Client ID Is Required").await;
    bench.refused("GetPayMethods", &[("clientid", "6")], "Client Not Found").await;
    let message = "Invalid Pay Method Type. Should be 'BankAccount' or 'CreditCard'";
    bench.refused("GetPayMethods", &[("clientid", DEMO), ("type", "Cash")], message).await;

    let client = ("clientid", DEMO);
    let remote = ("type", "RemoteCreditCard");
    let stripe = ("gateway_module_name", "stripe");
    let number = ("card_number", "4242 4242 4242 4242");
    let expiry = ("card_expiry", "1239");
    let bank = ("type", "BankAccount");
    for (params, message) in [
        (vec![], "Client ID Is Required"),
        (vec![("clientid", "5")], "Invalid Client ID"),
        (
            vec![client, ("type", "Cash")],
            "Invalid Pay Method Type. Type should be one of 'BankAccount', 'CreditCard', or 'RemoteCreditCard'",
        ),
        (vec![client, remote], "Gateway is Required for RemoteCreditCard type"),
        (vec![client], "No Local Credit Card Payment Gateways Enabled"),
        (
            vec![client, remote, stripe, expiry],
            "Card Number is required for 'CreditCard' or 'RemoteCreditCard' type",
        ),
        (
            vec![client, remote, stripe, number],
            "Expiry Date is required for 'CreditCard' or 'RemoteCreditCard' type",
        ),
        (vec![client, remote, stripe, number, ("card_expiry", "1320")], "Expiry Date is invalid"),
        (vec![client, remote, stripe, number, ("card_expiry", "0120")], "Expiry Date is invalid"),
        (vec![client, remote, stripe, number, expiry, ("card_start", "99")], "Start Date is invalid"),
        (vec![client, remote, stripe, number, expiry, ("card_issue_number", "x")], "Issue Number is invalid"),
        (
            vec![client, remote, ("gateway_module_name", "x")],
            "Invalid Gateway Module Name. Must be one of: banktransfer, directdebit, mailin, stripe",
        ),
        (vec![client, remote, ("gateway_module_name", "mailin")], "Unsupported Gateway Type for Storage"),
        (
            vec![client, remote, stripe, ("card_number", "4242424242424241"), expiry],
            "Error Creating Remote Token: Your card number is incorrect.",
        ),
        (vec![client, bank], "Routing number is required"),
        (vec![client, bank, ("bank_code", "1")], "Account number is required"),
        (
            vec![client, bank, ("bank_code", "1"), ("bank_account", "2")],
            "Gateway is Required for Bank Account Storage",
        ),
    ] {
        bench.refused("AddPayMethod", &params, message).await;
    }
    let added =
        bench.ok("AddPayMethod", &[client, remote, stripe, number, expiry, ("description", "New")]).await;
    let id = text(&added["paymethodid"]);
    let row = bench.ok("GetPayMethods", &[client, ("paymethodid", &id)]).await["paymethods"][0].clone();
    assert_eq!(
        (&row["card_last_four"], &row["card_type"], &row["expiry_date"]),
        (&json!("4242"), &json!("Visa"), &json!("12/39"))
    );
    assert!(!row.to_string().contains("42424242"), "the number is not kept");

    let method = ("paymethodid", id.as_str());
    for (params, message) in [
        (vec![], "Pay Method ID is Required"),
        (vec![method], "Client ID is Required"),
        (vec![("paymethodid", "99999999"), client], "Invalid Pay Method ID"),
        (vec![method, ("clientid", "1002")], "Pay Method does not belong to passed Client ID"),
    ] {
        bench.refused("UpdatePayMethod", &params, message).await;
        bench.refused("DeletePayMethod", &params, message).await;
    }
    bench.refused("UpdatePayMethod", &[method, client], "No Details Provided for Update").await;
    bench
        .refused(
            "UpdatePayMethod",
            &[method, client, number],
            "Unable to Update Card Number for Assisted Gateway",
        )
        .await;
    bench
        .refused(
            "UpdatePayMethod",
            &[method, client, ("bank_account", "1")],
            "Unsupported Gateway Type for Update",
        )
        .await;
    bench.refused("UpdatePayMethod", &[method, client, ("card_expiry", "x")], "Expiry Date is invalid").await;
    bench.ok("UpdatePayMethod", &[method, client, ("description", "Renamed"), ("card_expiry", "0140")]).await;
    let row = bench.ok("GetPayMethods", &[client, method]).await["paymethods"][0].clone();
    assert_eq!((&row["description"], &row["expiry_date"]), (&json!("Renamed"), &json!("01/40")));
    assert_eq!(bench.ok("DeletePayMethod", &[method, client]).await["paymethodid"], id.as_str());
    assert_eq!(bench.ok("GetPayMethods", &[client, method]).await["paymethods"], json!([]));
}

#[tokio::test]
async fn mails_become_rows_and_an_unknown_client_is_refused_with_status() {
    let bench = Bench::new();
    let answer = bench.call("GetEmails", &[("clientid", "7")]).await;
    assert_eq!(answer, json!({"status": "error", "message": "Client ID Not Found"}));
    let custom =
        [("customtype", "general"), ("customsubject", "Hi {$name}"), ("custommessage", "<b>{$name}</b>")];
    let vars = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.encode("a:1:{s:4:\"name\";s:6:\"山田\";}")
    };
    for (params, message) in [
        (vec![], "You must provide either an existing email template name or a custom message type"),
        (vec![("customtype", "odd")], "Invalid message type provided"),
        (vec![custom[0]], "A subject is required for a custom message"),
        (vec![custom[0], custom[1]], "A message body is required for a custom message"),
        (vec![custom[0], custom[1], custom[2]], "A related ID is required"),
        (
            vec![custom[0], custom[1], custom[2], ("customvars", "?")],
            "The custom variables you provided are invalid.",
        ),
        (vec![custom[0], custom[1], custom[2], ("id", "7")], "Sending Failed. Please see documentation."),
        (vec![("messagename", "Nothing"), ("id", DEMO)], "Email Template not found"),
        (vec![("messagename", "Order Confirmation"), ("id", DEMO)], "Email Template not found"),
        (vec![("messagename", "Legacy Newsletter"), ("id", DEMO)], "Email Template is disabled"),
    ] {
        bench.refused("SendEmail", &params, message).await;
    }
    bench.ok("SendEmail", &[custom[0], custom[1], custom[2], ("customvars", &vars), ("id", DEMO)]).await;
    assert_eq!(bench.hooks(), ["EmailPreSend", "EmailPreLog"]);
    let mail =
        bench.ok("GetEmails", &[("clientid", DEMO), ("limitnum", "1")]).await["emails"]["email"][0].clone();
    assert_eq!((&mail["subject"], &mail["message"]), (&json!("Hi 山田"), &json!("<b>山田</b>")));
    bench.ok("SendEmail", &[("messagename", "Invoice Created"), ("id", "1001")]).await;
}
