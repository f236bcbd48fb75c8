//! stub
#![allow(missing_docs, clippy::todo)]
use chrono::NaiveDate;
use crate::{deadline::Budget, upstream::Error};
#[derive(Clone)] pub struct Settings; 
#[derive(Clone)] pub struct Client;
pub struct Detail { pub state:Option<String>,pub plan_code:Option<String>,pub contract_line:Option<String>,pub voice_mail:Option<bool>,pub call_waiting:Option<bool>,pub world_wing:Option<bool>,pub talk:Option<bool>,pub eid:Option<String>,pub iccid:Option<String>,pub size:Option<String>,pub start_date:Option<NaiveDate> }
pub struct Traffic { pub today_kb:u64,pub recent_days_kb:Vec<u64>,pub restricted:bool }
pub struct QuotaHistory { pub entries:Vec<Quota> }
pub struct Quota { pub quota_mb:u64,pub date:Option<NaiveDate>,pub expire:Option<NaiveDate> }
impl Client {
 pub fn new(_:Settings)->Result<Self,Error>{todo!()}
 pub async fn warm_up(&self,_:Budget)->Result<(),Error>{todo!()}
 pub async fn get_detail(&self,_:Budget,_:&str)->Result<Option<Detail>,Error>{todo!()}
 pub async fn get_traffic_info(&self,_:Budget,_:&str)->Result<Traffic,Error>{todo!()}
 pub async fn get_quota_history(&self,_:Budget,_:&str,_:NaiveDate,_:NaiveDate)->Result<QuotaHistory,Error>{todo!()}
}
