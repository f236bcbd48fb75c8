use rust_decimal::Decimal;

use super::*;
use crate::sandbox::whmcs::Dialect;

#[tokio::test]
async fn invoices_of_a_client_are_filtered_ordered_and_paged() {
    let bench = Bench::new();
    let order = [("userid", DEMO), ("orderby", "id"), ("order", "desc"), ("limitnum", "5")];
    let page = bench.ok("GetInvoices", &order).await;
    let total = page["totalresults"].as_u64().unwrap();
    let rows = page["invoices"]["invoice"].as_array().unwrap();
    assert!(total >= 24 && rows.len() == 5 && page["numreturned"] == 5);
    assert_eq!(rows[0]["id"], 1000 + total);
    assert!(rows.iter().all(|row| row["userid"] == 1001 && row["currencycode"] == "JPY"));
    let overdue = bench.invoice_in("Overdue").await;
    assert_eq!((&overdue["status"], &overdue["datepaid"]), (&json!("Unpaid"), &json!("0000-00-00 00:00:00")));
    assert_eq!(bench.ok("GetInvoices", &[("userid", DEMO), ("status", "Unpaid")]).await["totalresults"], 2);
    let totals =
        bench.ok("GetInvoices", &[("userid", DEMO), ("orderby", "total"), ("limitnum", "100")]).await;
    let totals = totals["invoices"]["invoice"].as_array().unwrap().clone();
    assert!(totals.iter().map(|row| text(&row["total"]).parse::<Decimal>().unwrap()).is_sorted());
    assert!(bench.ok("GetInvoices", &[("limitnum", "1")]).await["totalresults"].as_u64().unwrap() > total);
    assert_eq!(bench.ok("GetInvoices", &[("userid", "4")]).await["totalresults"], 0);
}

#[tokio::test]
async fn one_invoice_has_lines_a_balance_and_transactions() {
    let bench = Bench::new();
    let open = text(&bench.invoice_in("Unpaid").await["id"]);
    let invoice = bench.invoice(&open).await;
    assert_eq!((&invoice["balance"], &invoice["transactions"]), (&invoice["total"], &json!("")));
    let amount = |key: &str| text(&invoice[key]).parse::<Decimal>().unwrap();
    assert_eq!(amount("subtotal") * Decimal::new(11, 1), amount("total"));
    let items = invoice["items"]["item"].as_array().unwrap();
    assert!(items.iter().all(|item| item["relid"].as_u64().unwrap() / 100 == 1 && item["taxed"] == 1));
    let paid = bench.invoice(&text(&bench.invoice_in("Paid").await["id"])).await;
    assert_eq!(paid["balance"], "0.00");
    let payment = &paid["transactions"]["transaction"][0];
    assert_eq!((&payment["amountin"], &payment["userid"]), (&paid["total"], &json!("1001")));
    bench.refused("GetInvoice", &[("invoiceid", "999999999")], "Invoice ID Not Found").await;
    bench.refused("GetInvoice", &[], "Invoice ID Not Found").await;
}

#[tokio::test]
async fn an_invoice_is_made_of_numbered_lines() {
    let bench = Bench::new();
    let params = [
        ("userid", DEMO),
        ("paymentmethod", "stripe"),
        ("itemdescription0", "Data & more"),
        ("itemamount0", "1000"),
        ("itemtaxed0", "1"),
        ("itemdescription5", "Discount"),
        ("itemamount5", "-100.50"),
        ("notes", "Thank you"),
    ];
    let answer = bench.ok("CreateInvoice", &params).await;
    assert_eq!(answer, json!({"result": "success", "invoiceid": 1_500_000_001_u64, "status": "Unpaid"}));
    assert_eq!(
        bench.hooks(),
        ["InvoiceCreation", "UpdateInvoiceTotal", "InvoiceCreationPreEmail", "InvoiceCreated"]
    );
    let invoice = bench.invoice("1500000001").await;
    let expected = json!({
        "subtotal": "899.50", "tax": "100.00", "total": "999.50", "balance": "999.50", "ccgateway": true,
        "taxrate": "10.000", "notes": "Thank you", "transactions": "",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&invoice[key], value, "{key}");
    }
    assert_eq!(
        invoice["items"]["item"][0],
        json!({"id": 150_000_000_101_u64, "type": "", "relid": 0, "description": "Data &amp; more", "amount": "1000.00", "taxed": 1})
    );
    let newest = bench
        .ok("GetInvoices", &[("userid", DEMO), ("orderby", "id"), ("order", "desc"), ("limitnum", "1")])
        .await;
    assert_eq!(newest["invoices"]["invoice"][0]["id"], 1_500_000_001_u64);
    bench.refused("CreateInvoice", &[("userid", "1")], "Client ID Not Found").await;
    let both = [("userid", DEMO), ("draft", "1"), ("sendinvoice", "1")];
    let text =
        "Cannot create and send a draft invoice in a single API request. Please create and send separately.";
    bench.refused("CreateInvoice", &both, text).await;
}

#[tokio::test]
async fn a_draft_is_edited_and_published() {
    let bench = Bench::new();
    let params = [("userid", DEMO), ("draft", "1"), ("itemdescription1", "A"), ("itemamount1", "10")];
    let id = text(&bench.ok("CreateInvoice", &params).await["invoiceid"]);
    assert_eq!(bench.hooks(), ["InvoiceCreation", "UpdateInvoiceTotal"]);
    let line = text(&bench.invoice(&id).await["items"]["item"][0]["id"]);
    let key = |name: &str| format!("{name}[{line}]");
    let (description, amount, taxed) = (key("itemdescription"), key("itemamount"), key("itemtaxed"));
    let missing = "Missing Variables: itemdescription, itemamount and itemtaxed are required for each item being changed";
    bench.refused("UpdateInvoice", &[("invoiceid", &id), (&description, "B")], missing).await;
    let changes = [
        ("invoiceid", id.as_str()),
        (&description, "B"),
        (&amount, "20"),
        (&taxed, "0"),
        ("itemdescription[99]", "ignored"),
        ("itemamount[99]", "1"),
        ("itemtaxed[99]", "1"),
        ("newitemdescription[]", "C"),
        ("newitemamount[]", "5"),
        ("newitemtaxed[]", "1"),
    ];
    bench.ok("UpdateInvoice", &changes).await;
    let invoice = bench.invoice(&id).await;
    assert_eq!((&invoice["status"], &invoice["total"]), (&json!("Draft"), &json!("25.50")));
    bench.ok("UpdateInvoice", &[("invoiceid", &id), ("deletelineids[]", &line)]).await;
    bench.hooks();
    bench.ok("UpdateInvoice", &[("invoiceid", &id), ("publishandsendemail", "1")]).await;
    assert_eq!(bench.hooks(), ["InvoiceCreationPreEmail", "EmailPreLog", "InvoiceCreated"]);
    let invoice = bench.invoice(&id).await;
    assert_eq!((&invoice["status"], &invoice["total"]), (&json!("Unpaid"), &json!("5.50")));
    bench
        .refused(
            "UpdateInvoice",
            &[("invoiceid", &id), ("publish", "1")],
            "Invoice must be in Draft status to be published",
        )
        .await;
}

#[tokio::test]
async fn a_status_change_fires_its_hook() {
    let bench = Bench::new();
    let id = bench.new_invoice(DEMO, "10").await;
    for (status, hook) in
        [("Cancelled", "InvoiceCancelled"), ("Unpaid", "InvoiceUnpaid"), ("Refunded", "InvoiceRefunded")]
    {
        bench.hooks();
        bench.ok("UpdateInvoice", &[("invoiceid", &id), ("status", status)]).await;
        assert_eq!(bench.hooks(), [hook]);
        assert_eq!(bench.invoice(&id).await["status"], status);
    }
    bench.ok("UpdateInvoice", &[("invoiceid", &id), ("paymentmethod", "stripe")]).await;
    assert_eq!(bench.hooks()[0], "InvoiceChangeGateway");
    bench.refused("UpdateInvoice", &[("invoiceid", &id), ("status", "Odd")], "Invalid status Odd").await;
    bench.refused("UpdateInvoice", &[("invoiceid", "5")], "Invoice ID Not Found").await;
}

#[tokio::test]
async fn release_9_refuses_edits_of_what_is_no_draft() {
    let dialect = Dialect { immutable_invoices: true, ..Dialect::default() };
    let bench = Bench::with(Settings { dialect, ..Settings::default() });
    let id = bench.new_invoice(DEMO, "10").await;
    let edit = [
        ("invoiceid", id.as_str()),
        ("newitemdescription[]", "x"),
        ("newitemamount[]", "1"),
        ("newitemtaxed[]", "0"),
    ];
    let message = "This is an Unpaid Invoice. You cannot modify an Invoice that is Unpaid.";
    bench.refused("UpdateInvoice", &edit, message).await;
    bench.ok("UpdateInvoice", &[("invoiceid", &id), ("status", "Cancelled")]).await;
}
