#![expect(clippy::unwrap_used, reason = "a test may panic")]

use axum::{
    body::Body,
    http::{StatusCode, header::CONTENT_TYPE},
};
use chrono::TimeDelta;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::sandbox::{core::RuleKind, credentials, faults::Rule, world::Casing};

struct Carrier {
    core: Arc<Core>,
    router: Router,
    key: String,
}

impl Carrier {
    async fn new() -> Self {
        let core = Arc::new(Core::new(7, 100, false));
        let mut carrier = Self { router: router(Arc::clone(&core)), core, key: String::new() };
        carrier.authenticate().await;
        carrier
    }

    async fn authenticate(&mut self) {
        let partner = json!({ "oemId": credentials::FREEBIT_OEM_ID, "oemKey": credentials::FREEBIT_OEM_KEY });
        let answer = self.call("authOem/", partner).await;
        self.key = answer["authKey"].as_str().unwrap().to_owned();
    }

    async fn send(&self, method: &str, path: &str, media: &str, body: String) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, media);
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Calls with the token added.
    async fn call(&self, path: &str, mut params: Value) -> Value {
        params["authKey"] = json!(self.key);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("json", &params.to_string())
            .finish();
        let path = format!("/emptool/api/{path}");
        let (status, body) = self.send("POST", &path, "application/x-www-form-urlencoded", body).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str(&body).unwrap()
    }

    async fn codes(&self, path: &str, params: Value) -> String {
        let answer = self.call(path, params).await;
        let code = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{}-{}", code(&answer["resultCode"]), code(&answer["status"]["statusCode"]))
    }

    async fn detail(&self, account: &str) -> Value {
        let wanted = json!({ "version": "2", "requestDatas": [{ "kind": "MVNO", "account": account }] });
        self.call("mvno/getDetail/", wanted).await["responseDatas"][0].clone()
    }

    fn pass(&self, minutes: i64) {
        self.core.clock.advance(TimeDelta::minutes(minutes));
    }

    /// The demo customer's lines: three with voice, then the data-only eSIM.
    fn lines(&self) -> Vec<String> {
        let demo = self.core.world.customer(1);
        demo.services.iter().filter_map(|service| Some(service.line.as_ref()?.account.clone())).collect()
    }
}

const OK: &str = "100-200";

#[tokio::test]
async fn wrong_partner_and_stale_tokens_are_refused_in_the_envelope() {
    let mut carrier = Carrier::new().await;
    let account = carrier.lines().remove(0);
    let wrong = json!({ "oemId": credentials::FREEBIT_OEM_ID, "oemKey": "guess" });
    assert_eq!(carrier.codes("authOem/", wrong).await, "400-910");
    assert_eq!(carrier.codes("authOem/", json!({})).await, "400-902");

    let traffic = json!({ "account": account });
    assert_eq!(carrier.codes("mvno/getTrafficInfo/", traffic.clone()).await, OK);
    carrier.pass(61);
    assert_eq!(carrier.codes("mvno/getTrafficInfo/", traffic.clone()).await, "400-911");
    carrier.authenticate().await;
    let first = carrier.key.clone();
    carrier.authenticate().await;
    carrier.key = first;
    assert_eq!(
        carrier.codes("mvno/getTrafficInfo/", traffic).await,
        OK,
        "several tokens are valid side by side"
    );
}

#[tokio::test]
async fn a_document_may_come_url_encoded_multipart_or_bare() {
    let carrier = Carrier::new().await;
    let partner =
        json!({ "oemId": credentials::FREEBIT_OEM_ID, "oemKey": credentials::FREEBIT_OEM_KEY }).to_string();
    let form = format!("--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{partner}\r\n--b--\r\n");
    for (media, body) in
        [("multipart/form-data; boundary=b", form), ("application/json; charset=utf-8", partner.clone())]
    {
        for path in ["/emptool/api/authOem/", "/emptool/api/authOem"] {
            let (status, answer) = carrier.send("POST", path, media, body.clone()).await;
            assert_eq!(status, StatusCode::OK);
            assert!(answer.contains("authKey"), "{media}: {answer}");
        }
    }
    let path = "/emptool/api/authOem/";
    assert_eq!(carrier.send("POST", path, "text/plain", partner).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        carrier.send("GET", path, "text/plain", String::new()).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        carrier.send("POST", "/emptool/api/none/", "text/plain", String::new()).await.0,
        StatusCode::NOT_FOUND
    );
    let unreadable =
        carrier.send("POST", path, "application/x-www-form-urlencoded", "json={".to_owned()).await;
    assert!(unreadable.1.contains("901"), "{}", unreadable.1);
}

#[tokio::test]
async fn a_detail_spells_the_voice_fields_as_the_account_does() {
    let carrier = Carrier::new().await;
    let mut seen = Vec::new();
    for n in 1..=40 {
        for line in carrier.core.world.customer(n).services.iter().filter_map(|service| service.line.as_ref())
        {
            let detail = carrier.detail(&line.account).await;
            let (mail, waiting) = match line.casing {
                Casing::Lower => ("voicemail", "callwaiting"),
                Casing::Camel => ("voiceMail", "callWaiting"),
                Casing::Mixed => ("voicemail", "callWaiting"),
            };
            assert_eq!(detail[mail], if line.voicemail { "10" } else { "20" });
            assert_eq!(detail[waiting], if line.callwaiting { "10" } else { "20" });
            assert_eq!(detail["state"], line.state);
            assert_eq!(detail["planCode"], line.plan_code);
            seen.push(line.casing);
        }
    }
    assert!([Casing::Lower, Casing::Camel, Casing::Mixed].iter().all(|casing| seen.contains(casing)));
    let wanted = json!({ "requestDatas": [{ "kind": "MVNO", "account": "08000000000" }] });
    assert_eq!(carrier.codes("master/getAcnt/", wanted).await, "400-920");
}

#[tokio::test]
async fn traffic_is_in_kilobytes_newest_first() {
    let carrier = Carrier::new().await;
    let demo = carrier.core.world.customer(1);
    let line = demo.services.iter().find_map(|service| service.line.as_ref()).unwrap();
    let answer = carrier.call("mvno/getTrafficInfo/", json!({ "account": line.account })).await;
    let days: Vec<String> = line.recent_days_kb.iter().map(u64::to_string).collect();
    assert_eq!(answer["traffic"]["today"], line.used_today_kb.to_string());
    assert_eq!(answer["traffic"]["inRecentDays"], days.join(","));
}

#[tokio::test]
async fn an_added_quota_stands_in_the_history() {
    let carrier = Carrier::new().await;
    let account = carrier.lines().remove(0);
    let before = carrier.call("mvno/getQuotaHistory/", json!({ "account": account })).await;
    let added = json!({ "kind": "MVNO", "account": account, "quota": "3000", "quotaCode": "topup-42" });
    assert_eq!(carrier.codes("master/addSpec/", added).await, OK);
    let after = carrier.call("mvno/getQuotaHistory/", json!({ "account": account })).await;
    let number = |answer: &Value, field: &str| answer[field].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(number(&after, "total"), number(&before, "total") + 3000);
    assert_eq!(number(&after, "count"), number(&before, "count") + 1);
    assert_eq!(after["quotaHistory"].as_array().unwrap().last().unwrap()["quotaCode"], "topup-42");

    for quota in ["0", "512001", "x", "1234567"] {
        let refused = json!({ "account": account, "quota": quota });
        assert!(carrier.codes("master/addSpec/", refused).await.starts_with("400-90"), "{quota}");
    }
    let today = carrier.core.clock.today().format("%Y%m%d").to_string();
    let wanted = json!({ "account": account, "fromDate": today, "toDate": today });
    assert_eq!(carrier.call("mvno/getQuotaHistory/", wanted).await["count"], "1");
}

#[tokio::test]
async fn a_voice_order_takes_effect_later_and_locks_the_line() {
    let mut carrier = Carrier::new().await;
    let lines = carrier.lines();
    let account = &lines[0];
    let before = carrier.core.world.customer(1).services[3].line.clone().unwrap();
    let wanted = if before.worldwing { "20" } else { "10" };
    let order = json!({ "account": account, "userConfirmed": "10", "talkOption": { "worldWing": wanted } });
    let path = "mvno/talkoption/changeOrder/";
    assert_eq!(carrier.codes(path, json!({ "account": account, "userConfirmed": "20" })).await, "400-950");
    let empty = json!({ "account": account, "userConfirmed": "10", "talkOption": {} });
    assert_eq!(carrier.codes(path, empty).await, "400-951");
    let mut data_only = order.clone();
    data_only["account"] = json!(lines[3]);
    assert_eq!(carrier.codes(path, data_only).await, "400-923");

    assert_eq!(carrier.codes(path, order.clone()).await, OK);
    let wing = |detail: &Value| detail.get("worldwing").or(detail.get("worldWing")).cloned().unwrap();
    let detail = carrier.detail(account).await;
    assert_ne!(wing(&detail), wanted);
    assert_eq!(detail["async"]["func"], "talkoption/changeOrder");
    assert_eq!(carrier.codes(path, order.clone()).await, "400-930");
    carrier.pass(10);
    let detail = carrier.detail(account).await;
    assert_eq!(wing(&detail), wanted);
    assert_eq!(detail.get("async"), None);
    let waiting = detail.get("callwaiting").or(detail.get("callWaiting")).unwrap();
    assert_eq!(*waiting, if before.callwaiting { "10" } else { "20" }, "what is left out stays");

    let change = json!({ "account": account, "contractLine": "4G" });
    assert_eq!(carrier.codes("mvno/contractline/change/", change.clone()).await, "400-931");
    carrier.pass(20);
    assert_eq!(carrier.codes("mvno/contractline/change/", change).await, OK);
    carrier.pass(29);
    let plan = json!({ "account": account, "planCode": "SBX_5G" });
    assert_eq!(carrier.codes("mvno/changePlan/", plan.clone()).await, "400-930");
    carrier.pass(1);
    carrier.authenticate().await;
    let detail = carrier.detail(account).await;
    assert_eq!(detail.get("contractLine").or(detail.get("networkType")).unwrap(), "4G");
    assert_eq!(carrier.codes("mvno/changePlan/", plan).await, OK);
    assert_eq!(carrier.detail(account).await["planCode"], "SBX_5G");
}

#[tokio::test]
async fn a_dated_plan_change_waits_for_its_day_and_a_cancellation_forbids_it() {
    let mut carrier = Carrier::new().await;
    let account = carrier.lines().remove(2);
    let tomorrow = carrier.core.clock.today().succ_opt().unwrap();
    let planned = json!({
        "account": account, "planCode": "SBX_25G", "runTime": tomorrow.format("%Y%m%d").to_string()
    });
    assert_eq!(carrier.codes("mvno/changePlan/", planned.clone()).await, OK);
    assert_eq!(carrier.detail(&account).await["planCode"], "SBX_10G");
    let ending =
        json!({ "kind": "MVNO", "account": account, "runDate": tomorrow.format("%Y/%m/%d").to_string() });
    assert_eq!(carrier.codes("master/cnclAcnt/", ending.clone()).await, OK);
    assert_eq!(carrier.codes("master/cnclAcnt/", ending).await, "400-932");
    assert_eq!(carrier.codes("mvno/changePlan/", planned).await, "400-932");
    let master = json!({ "kind": "MASTER", "account": account });
    assert_eq!(carrier.codes("master/cnclAcnt/", master).await, "400-904");

    carrier.pass(24 * 60);
    carrier.authenticate().await;
    let detail = carrier.detail(&account).await;
    assert_eq!((&detail["planCode"], &detail["state"]), (&json!("SBX_25G"), &json!("active")));
    carrier.pass(24 * 60);
    carrier.authenticate().await;
    assert_eq!(carrier.detail(&account).await["state"], "obsolete");
    let added = json!({ "account": account, "quota": "1000" });
    assert_eq!(carrier.codes("master/addSpec/", added).await, "400-923");
}

#[tokio::test]
async fn an_esim_begins_after_its_time_and_is_told_of_in_the_file() {
    let carrier = Carrier::new().await;
    let path = "mvno/esim/addAcnt/";
    let eid = "89049032000000000000000000123450";
    let new =
        json!({ "addKind": "N", "createType": "new", "eid": eid, "simKind": "E0", "planCode": "SBX_5G" });
    assert_eq!(carrier.codes(path, new).await, OK);
    let mut port_in = json!({
        "addKind": "M", "eid": eid, "simKind": "E0", "account": "09012345678", "planCode": "SBX_5G",
        "mnp": { "reserveNumber": "1100000123", "reserveExpireDate": "29990101", "lastnameKanji": "見本",
                 "firstnameKanji": "花子", "lastnameZenKana": "ミホン", "firstnameZenKana": "ハナコ",
                 "gender": "W", "birthday": "19900115" }
    });
    assert_eq!(carrier.codes(path, port_in.clone()).await, OK);
    assert_eq!(carrier.codes(path, port_in.clone()).await, "400-923", "applied once");
    assert_eq!(carrier.detail("09012345678").await["state"], "waiting");
    port_in["aladinOperated"] = json!("10");
    assert_eq!(carrier.codes(path, port_in.clone()).await, "400-356");
    port_in["aladinOperated"] = json!("20");
    port_in["mnp"]["gender"] = json!("F");
    assert_eq!(carrier.codes(path, port_in).await, "400-904");

    let demo = carrier.lines().remove(3);
    let old_eid = carrier.detail(&demo).await["eid"].clone();
    let reissue = json!({ "addKind": "R", "account": demo, "eid": eid, "reissue": { "oldEid": old_eid } });
    assert_eq!(carrier.codes(path, reissue).await, OK);

    carrier.pass(15);
    let (_, file) = carrier.send("GET", "/notices.csv", "", String::new()).await;
    let rows: Vec<&str> = file.lines().collect();
    assert_eq!(rows.len(), 3, "{file}");
    let number = rows.iter().find(|row| row.contains(",N,")).unwrap().split(',').nth(1).unwrap();
    let detail = carrier.detail(number).await;
    assert_eq!((&detail["state"], &detail["eid"]), (&json!("active"), &json!(eid)));
    assert_eq!(carrier.detail(&demo).await["eid"], eid);
    carrier.pass(44);
    assert_eq!(carrier.detail("09012345678").await["state"], "waiting");
}

#[tokio::test]
async fn a_card_that_is_not_known_cannot_be_registered() {
    let carrier = Carrier::new().await;
    let register = |account: &str| json!({ "createType": "new", "requestDatas": [{ "kind": "MVNO", "account": account, "planCode": "SBX_5G" }] });
    let answer = carrier.call("master/addAcnt/", register("08011112222")).await;
    assert_eq!(
        (&answer["resultCode"], &answer["status"]["message"]),
        (&json!("210"), &json!("アカウント不在エラー"))
    );
    let waiting = (1..=100)
        .flat_map(|n| carrier.core.world.customer(n).services.clone())
        .filter_map(|service| service.line)
        .find(|line| line.state == "waiting")
        .unwrap();
    assert_eq!(carrier.codes("master/addAcnt/", register(&waiting.account)).await, OK);
    carrier.pass(2);
    assert_eq!(carrier.detail(&waiting.account).await["state"], "active");
}

#[tokio::test]
async fn injected_faults_speak_the_vendors_tongue() {
    let mut carrier = Carrier::new().await;
    let account = carrier.lines().remove(0);
    let once =
        |kind| Rule { times: Some(1), operation: "addSpec".to_owned(), ..Rule::every(System::Freebit, kind) };
    let added = json!({ "account": account, "quota": "1000" });

    carrier.core.faults.add(Rule { code: Some("500-5".to_owned()), ..once(RuleKind::Business) });
    assert_eq!(carrier.codes("master/addSpec/", added.clone()).await, "500-5");
    carrier.core.faults.add(Rule { applied: true, ..once(RuleKind::Business) });
    let count = carrier.call("mvno/getQuotaHistory/", json!({ "account": account })).await["count"].clone();
    assert_eq!(carrier.codes("master/addSpec/", added.clone()).await, "500-999");
    let after = carrier.call("mvno/getQuotaHistory/", json!({ "account": account })).await["count"].clone();
    assert_ne!(count, after, "the work was done although the answer says otherwise");
    carrier.core.faults.add(once(RuleKind::Expire));
    assert_eq!(carrier.codes("master/addSpec/", added.clone()).await, "400-911");
    assert_eq!(carrier.codes("master/addSpec/", added.clone()).await, "400-911", "the token is gone");
    carrier.authenticate().await;
    assert_eq!(carrier.codes("master/addSpec/", added).await, OK);

    assert_eq!(carrier.core.journal.count(System::Freebit, Some("addSpec")), 5);
    let journal = serde_json::to_string(&carrier.core.journal.entries(&Default::default())).unwrap();
    assert!(!journal.contains(credentials::FREEBIT_OEM_KEY) && !journal.contains(&carrier.key));
}
