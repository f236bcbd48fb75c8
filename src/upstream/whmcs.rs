//! stub
#![allow(missing_docs, clippy::todo)]
use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use crate::{deadline::Budget, upstream::Error};
#[derive(Clone)] pub struct Settings; 
#[derive(Clone)] pub struct Client;
pub struct ClientDetails { pub firstname:String,pub lastname:String,pub companyname:String,pub email:String,pub address1:String,pub address2:String,pub city:String,pub state:String,pub postcode:String,pub country:String,pub phonenumber:String,pub currency_code:String,pub language:String,pub customfields:Vec<(u64,String)> }
pub struct Products { pub total:u64,pub products:Vec<Product> }
pub struct Product { pub id:u64,pub name:String,pub groupname:String,pub recurringamount:Decimal,pub firstpaymentamount:Decimal,pub billingcycle:String,pub status:String,pub regdate:Option<NaiveDate>,pub nextduedate:Option<NaiveDate>,pub customfields:Vec<(String,String)> }
pub struct Invoices { pub total:u64,pub invoices:Vec<Invoice> }
pub struct Invoice { pub id:u64,pub invoicenum:Option<String>,pub date:Option<NaiveDate>,pub duedate:Option<NaiveDate>,pub datepaid:Option<NaiveDateTime>,pub subtotal:Decimal,pub credit:Decimal,pub tax:Decimal,pub tax2:Decimal,pub total:Decimal,pub status:String,pub currencycode:Option<String> }
pub struct InvoiceDetails { pub userid:u64,pub balance:Decimal,pub items:Vec<Item> }
pub struct Item { pub kind:String,pub relid:Option<u64>,pub description:String,pub amount:Decimal,pub taxed:bool }
pub struct PayMethod { pub id:u64,pub kind:String,pub description:Option<String>,pub card_type:Option<String>,pub bank_name:Option<String>,pub card_last_four:Option<String>,pub expiry_date:Option<String> }
impl Client {
 pub fn new(_:Settings)->Result<Self,Error>{todo!()}
 pub async fn get_clients_details(&self,_:Budget,_:u64)->Result<ClientDetails,Error>{todo!()}
 pub async fn get_clients_products(&self,_:Budget,_:u64,_:u64,_:u64)->Result<Products,Error>{todo!()}
 pub async fn get_invoices(&self,_:Budget,_:u64,_:u64,_:u64)->Result<Invoices,Error>{todo!()}
 pub async fn get_invoice(&self,_:Budget,_:u64)->Result<Option<InvoiceDetails>,Error>{todo!()}
 pub async fn get_pay_methods(&self,_:Budget,_:u64)->Result<Vec<PayMethod>,Error>{todo!()}
}
