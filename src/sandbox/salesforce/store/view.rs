//! All records as they are now: the seeded world with what was written laid over it.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
    rc::Rc,
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    id::RecordId,
    sandbox::{
        salesforce::{
            schema::{
                Home, Object,
                field::{Field, Kind, Source},
                is_key, known, object_of,
            },
            store::{
                home,
                overlay::{CREATED, Overlay},
                record::Record,
                seed,
                shared::Shared,
            },
        },
        world::{World, ids},
    },
};

/// Seeded record sets that are kept during one look.
const KEPT: usize = 256;

/// Parents beyond this many are no longer followed to narrow a search.
const MANY: usize = 2_000;

type Set = Rc<Vec<Arc<Record>>>;

/// Where to look: customers whose seeded records may match, and written records that may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Customers.
    pub customers: BTreeSet<u64>,
    /// Written records.
    pub written: BTreeSet<RecordId>,
}

/// One look at the records, in one instant.
pub struct View<'a> {
    /// The seeded world.
    pub world: &'a World,
    /// Records of nobody.
    pub shared: &'a Shared,
    /// What was written.
    pub overlay: &'a Overlay,
    sets: RefCell<HashMap<(u64, &'static str), Set>>,
}

impl<'a> View<'a> {
    /// A look at the records.
    pub fn new(world: &'a World, shared: &'a Shared, overlay: &'a Overlay) -> Self {
        Self { world, shared, overlay, sets: RefCell::default() }
    }

    /// A record, also a deleted one.
    pub fn get(&self, id: RecordId) -> Option<Arc<Record>> {
        if let Some(record) = self.overlay.get(id) {
            return Some(Arc::clone(record));
        }
        let object = object_of(id.as_str())?;
        let (_, n, _) = ids::sf_parse(id.as_str())?;
        let found = |records: &[Arc<Record>]| records.iter().find(|record| record.id == id).cloned();
        match object.home {
            Home::Shared => found(self.shared.get(object.name)?),
            Home::Customer if self.world.has(n) => found(&self.seeded(object, n)),
            _ => None,
        }
    }

    /// A record that is not deleted.
    pub fn living(&self, id: RecordId) -> Option<Arc<Record>> {
        self.get(id).filter(|record| !record.is_deleted())
    }

    /// A customer's seeded records.
    fn seeded(&self, object: &'static Object, n: u64) -> Set {
        let mut sets = self.sets.borrow_mut();
        if sets.len() > KEPT {
            sets.clear();
        }
        let make =
            || Rc::new(seed::records(&self.world.customer(n), object).into_iter().map(Arc::new).collect());
        Rc::clone(sets.entry((n, object.name)).or_insert_with(make))
    }

    /// Goes through records of an object until told to stop. `None`: all of them. What is deleted is shown too.
    pub fn scan(
        &self,
        object: &'static Object,
        candidates: Option<&Candidates>,
        mut look: impl FnMut(&Arc<Record>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut now = |record: &Arc<Record>| look(self.overlay.get(record.id).unwrap_or(record));
        match object.home {
            Home::Shared => {
                for record in self.shared.get(object.name).into_iter().flatten() {
                    now(record)?;
                }
            }
            Home::Customer => match candidates {
                Some(candidates) => {
                    for n in &candidates.customers {
                        self.seeded(object, *n).iter().try_for_each(&mut now)?;
                    }
                }
                None => {
                    for n in 1..=self.world.customers {
                        self.seeded(object, n).iter().try_for_each(&mut now)?;
                    }
                }
            },
            Home::Written => {}
        }
        // Seeded records that were changed have been shown in their place, unless they have moved to a customer
        // whom the search is about.
        let is_shown = |id: &RecordId| {
            let n = ids::sf_parse(id.as_str()).map_or(CREATED, |(_, n, _)| n);
            match (object.home, candidates) {
                (Home::Written, _) => false,
                (Home::Customer, Some(candidates)) => candidates.customers.contains(&n),
                _ => n < CREATED,
            }
        };
        let written: Vec<RecordId> = match candidates {
            Some(candidates) => candidates.written.iter().copied().filter(|id| !is_shown(id)).collect(),
            None => self.overlay.of(object).filter(|id| !is_shown(id)).collect(),
        };
        written.iter().filter_map(|id| self.overlay.get(*id)).try_for_each(look)
    }

    /// Where records are whose field, at the end of a way over parents, has one of some values. `None`: anywhere.
    pub fn with_values(
        &self,
        object: &'static Object,
        hops: &[&'static Field],
        field: &'static Field,
        values: &[String],
    ) -> Option<Candidates> {
        let [first, rest @ ..] = hops else {
            return self.with_own_values(object, field, values);
        };
        let [target] = first.targets else { return None };
        let parent = known(target);
        let candidates = self.with_values(parent, rest, field, values)?;
        let mut parents = Vec::new();
        let _ = self.scan(parent, Some(&candidates), |record| {
            parents.push(record.id.to_string());
            if parents.len() > MANY { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if parents.len() > MANY { None } else { self.with_own_values(object, first, &parents) }
    }

    fn with_own_values(
        &self,
        object: &'static Object,
        field: &'static Field,
        values: &[String],
    ) -> Option<Candidates> {
        if !is_key(field) {
            return None;
        }
        let mut found = Candidates { customers: BTreeSet::new(), written: BTreeSet::new() };
        for value in values {
            if object.home == Home::Customer {
                found.customers.extend(home::customers(self.world, object, field, value)?);
            }
            if field.kind == Kind::Id {
                found.written.extend(RecordId::parse(value).filter(|id| self.overlay.get(*id).is_some()));
            } else {
                found.written.extend(self.overlay.with_key(object, field.name, value));
            }
        }
        Some(found)
    }

    /// The living records whose reference leads to a record.
    pub fn children(&self, object: &'static Object, reference: &str, parent: RecordId) -> Vec<Arc<Record>> {
        let Some(field) = object.field(reference) else { return Vec::new() };
        let candidates = self.with_own_values(object, field, &[parent.to_string()]);
        let mut children = Vec::new();
        let _ = self.scan(object, candidates.as_ref(), |record| {
            if !record.is_deleted() && record.text(field.name) == Some(parent.as_str()) {
                children.push(Arc::clone(record));
            }
            ControlFlow::Continue(())
        });
        children
    }

    /// The value of a field, stored or computed.
    pub fn value(&self, record: &Record, field: &Field) -> Value {
        match (field.kind, field.source) {
            (Kind::Id, _) => Value::String(record.id.to_string()),
            (Kind::Boolean, _) => Value::Bool(record.is(field.name)),
            (_, Source::Stored) => record.get(field.name).clone(),
            (Kind::Address, Source::Computed) => address(record, field),
            (_, Source::Computed) => self.computed(record, field).unwrap_or(Value::Null),
        }
    }

    fn computed(&self, record: &Record, field: &Field) -> Option<Value> {
        Some(match (record.object.name, field.name) {
            ("Order", "TotalAmount") => {
                let items = self.children(known("OrderItem"), "OrderId", record.id);
                items.iter().filter_map(|item| item.get("TotalPrice").as_f64()).sum::<f64>().into()
            }
            ("Case", name) => {
                let mirrored = match name {
                    "ContactEmail" => "Email",
                    "ContactPhone" => "Phone",
                    "ContactMobile" => "MobilePhone",
                    _ => return None,
                };
                self.get(record.reference("ContactId")?)?.get(mirrored).clone()
            }
            ("CaseComment", "CreatorName") => self.get(record.reference("CreatedById")?)?.get("Name").clone(),
            _ => return None,
        })
    }
}

/// The parts of an address together; null when there is none.
fn address(record: &Record, field: &Field) -> Value {
    let stem = field.name.trim_end_matches("Address");
    let part = |name: &str| record.get(&format!("{stem}{name}")).clone();
    let parts = ["City", "Country", "PostalCode", "State", "Street"].map(part);
    if parts.iter().all(Value::is_null) {
        return Value::Null;
    }
    let [city, country, postal_code, state, street] = parts;
    json!({
        "city": city, "country": country, "geocodeAccuracy": null, "latitude": null, "longitude": null,
        "postalCode": postal_code, "state": state, "street": street
    })
}
