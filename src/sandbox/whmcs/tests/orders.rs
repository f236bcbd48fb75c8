use super::*;

const NOT_PENDING: &str = "Order ID not found or Status not Pending";

async fn place(bench: &Bench, extra: &[(&str, &str)]) -> Value {
    let fields = serialized(&[(2001, "006000000000001AAA")]);
    let mut params = vec![
        ("clientid", DEMO),
        ("paymentmethod", "stripe"),
        ("pid[0]", "100"),
        ("billingcycle[0]", "monthly"),
        ("domain[0]", "07000000000"),
        ("customfields[0]", &fields),
        ("pid[1]", "106"),
        ("billingcycle[1]", "onetime"),
        ("pid[2]", "9999"),
        ("notes", "sfOrderId=801"),
    ];
    params.extend_from_slice(extra);
    bench.ok("AddOrder", &params).await
}

async fn order(bench: &Bench, id: &Value) -> Value {
    bench.ok("GetOrders", &[("id", &text(id))]).await["orders"]["order"][0].clone()
}

#[tokio::test]
async fn seeded_orders_are_listed_newest_first() {
    let bench = Bench::new();
    let all = bench.ok("GetOrders", &[("userid", DEMO)]).await;
    let rows = all["orders"]["order"].as_array().unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().map(|row| text(&row["date"])).rev().is_sorted());
    assert!(rows[0]["ordernum"].as_u64().unwrap() >= 1_000_000_000);
    assert_eq!(order(&bench, &rows[0]["id"]).await, rows[0]);
    let line = &rows[0]["lineitems"]["lineitem"][0];
    assert_eq!(line["type"], "product");
    assert!(text(&rows[0]["notes"]).starts_with("sfOrderId=801"));
    let pending = bench.ok("GetOrders", &[("userid", DEMO), ("status", "Pending")]).await;
    assert_eq!(pending["totalresults"], 0);
    assert_eq!(bench.ok("GetOrders", &[("id", "7")]).await["orders"], json!({"order": []}));
}

#[tokio::test]
async fn an_order_becomes_services_and_an_invoice_and_waits_to_be_accepted() {
    let bench = Bench::new();
    let answer = place(&bench, &[]).await;
    let id = &answer["orderid"];
    assert_eq!(
        answer,
        json!({
            "result": "success", "orderid": 150_000_001, "serviceids": "150000001,150000002", "addonids": "",
            "domainids": "", "invoiceid": 1_500_000_001_u64,
        })
    );
    let hooks = bench.hooks();
    assert_eq!(hooks.last().unwrap(), "AfterShoppingCartCheckout");
    let row = order(&bench, id).await;
    assert_eq!(
        (&row["status"], &row["amount"], &row["paymentstatus"], &row["notes"]),
        (&json!("Pending"), &json!("3100.00"), &json!("Unpaid"), &json!("sfOrderId=801"))
    );
    assert_eq!(row["lineitems"]["lineitem"][0]["product"], "Mobile SIM - SIM Data + Voice 5GB");
    let invoice = bench.invoice("1500000001").await;
    assert_eq!((&invoice["subtotal"], &invoice["total"]), (&json!("3100.00"), &json!("3410.00")));
    assert_eq!(invoice["items"]["item"][0]["relid"], 150_000_001);
    let service =
        bench.ok("GetClientsProducts", &[("serviceid", "150000001")]).await["products"]["product"][0].clone();
    assert_eq!(
        (&service["status"], &service["customfields"]["customfield"][0]["value"]),
        (&json!("Pending"), &json!("006000000000001AAA"))
    );

    let id = text(id);
    bench.hooks();
    bench.ok("AcceptOrder", &[("orderid", &id), ("autosetup", "1")]).await;
    assert_eq!(bench.hooks(), ["AcceptOrder", "PreModuleCreate", "AfterModuleCreate"]);
    let statuses = bench.ok("GetClientsProducts", &[("clientid", DEMO), ("limitstart", "10")]).await;
    let statuses: Vec<_> =
        statuses["products"]["product"].as_array().unwrap().iter().map(|s| text(&s["status"])).collect();
    assert_eq!(statuses, ["Active", "Completed"]);
    bench.refused("AcceptOrder", &[("orderid", &id)], NOT_PENDING).await;
    bench.refused("CancelOrder", &[("orderid", &id)], NOT_PENDING).await;
    bench.hooks();
    bench
        .ok("AddInvoicePayment", &[("invoiceid", "1500000001"), ("transid", "a"), ("gateway", "stripe")])
        .await;
    assert_eq!(bench.hooks().last().unwrap(), "OrderPaid");
}

#[tokio::test]
async fn an_order_without_an_invoice_says_so_by_silence() {
    let bench = Bench::new();
    let answer = place(&bench, &[("noinvoice", "true"), ("noemail", "true")]).await;
    assert!(answer.get("invoiceid").is_none());
    assert_eq!(order(&bench, &answer["orderid"]).await["paymentstatus"], "No Invoice");
    assert_eq!(bench.hooks(), ["AfterShoppingCartCheckout"]);
    let free = place(&bench, &[("priceoverride[0]", "0"), ("priceoverride[1]", "0.00")]).await;
    assert!(free.get("invoiceid").is_none());
}

#[tokio::test]
async fn a_cancelled_order_takes_its_services_and_invoice_along() {
    let bench = Bench::new();
    let id = text(&place(&bench, &[]).await["orderid"]);
    let params = [("orderid", id.as_str())];
    bench.hooks();
    bench.ok("CancelOrder", &params).await;
    assert_eq!(bench.hooks(), ["CancelOrder", "InvoiceCancelled"]);
    assert_eq!(bench.invoice("1500000001").await["status"], "Cancelled");
    let service = bench.ok("GetClientsProducts", &[("serviceid", "150000001")]).await;
    assert_eq!(service["products"]["product"][0]["status"], "Cancelled");
    bench.ok("PendingOrder", &params).await;
    bench
        .refused("DeleteOrder", &params, "The order status must be in Cancelled or Fraud to be deleted")
        .await;
    bench.ok("FraudOrder", &params).await;
    bench.ok("DeleteOrder", &params).await;
    for action in ["PendingOrder", "DeleteOrder"] {
        bench.refused(action, &params, "Order ID Not Found").await;
    }
    for action in ["AcceptOrder", "CancelOrder", "FraudOrder"] {
        bench.refused(action, &params, NOT_PENDING).await;
    }
    let id = text(&place(&bench, &[]).await["orderid"]);
    bench.ok("UpdateClientProduct", &[("serviceid", "150000003"), ("subscriptionid", "sub_1")]).await;
    let message = "Subscription Cancellation Failed - Please check the gateway log for further information";
    bench.refused("CancelOrder", &[("orderid", &id), ("cancelsub", "1")], message).await;
}

#[tokio::test]
async fn an_order_is_refused_with_the_vendors_texts() {
    let bench = Bench::new();
    let (client, gateway) = (("clientid", DEMO), ("paymentmethod", "mailin"));
    for (params, message) in [
        (vec![("clientid", "1"), gateway], "Client ID Not Found"),
        (
            vec![client, ("pid[]", "100")],
            "Invalid Payment Method. Valid options include banktransfer, directdebit, mailin, stripe",
        ),
        (vec![client, gateway], "No items added to cart so order cannot proceed"),
        (vec![client, gateway, ("pid[]", "9999")], "No items added to cart so order cannot proceed"),
        (vec![client, gateway, ("pid", "100")], "Expecting parameter 'pid' to be an array"),
        (
            vec![client, gateway, ("domaintype", "register")],
            "Expecting parameter 'domaintype' to be an array",
        ),
        (vec![client, gateway, ("addonid", "1"), ("serviceid", "101")], "Addon ID invalid"),
        (
            vec![client, gateway, ("domainrenewals[example.com]", "1")],
            "Domain not owned by Client ID provided",
        ),
        (vec![client, gateway, ("servicerenewals[]", "201")], "Service ID not owned by Client ID provided"),
        (
            vec![client, gateway, ("servicerenewals[]", "101")],
            "Service ID 101 can not be renewed at this time.",
        ),
    ] {
        bench.refused("AddOrder", &params, message).await;
    }
    bench.ok("CloseClient", &[client]).await;
    let message = "Unable to add order when client status is Closed";
    bench.refused("AddOrder", &[client, gateway, ("pid[]", "100")], message).await;
}

#[tokio::test]
async fn credit_and_automatic_application_can_make_an_invoice_born_paid() {
    let bench = Bench::new();
    bench.ok("AddCredit", &[("clientid", DEMO), ("amount", "50"), ("description", "x")]).await;
    let params =
        [("userid", DEMO), ("itemdescription1", "A"), ("itemamount1", "50"), ("autoapplycredit", "1")];
    assert_eq!(bench.ok("CreateInvoice", &params).await["status"], "Paid");
    let zero = bench.ok("CreateInvoice", &[("userid", DEMO)]).await;
    assert_eq!(zero["status"], "Paid", "a zero total is paid");
}
