//! From names to the schema: every field, relationship and literal of a statement is checked.

use std::collections::HashSet;

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        query::{
            Terms,
            filter::{Column, Filter, Operand, Subject, operand},
            narrow,
            run::{self, Search},
            shape::{Part, Shape},
        },
        refusal::Refusal,
        schema::{
            Child, Object,
            field::{Field, Kind},
            known, object,
        },
        soql::{
            self,
            ast::{self, Condition, FieldSet, Function, Operator, Query, Selection},
        },
        store::{View, view::Candidates},
    },
};

type Result<T> = std::result::Result<T, Refusal>;

/// Largest `OFFSET`.
const FARTHEST_OFFSET: u64 = 2_000;

/// A statement ready to run.
pub struct Plan {
    /// The object.
    pub object: &'static Object,
    /// What a row shows.
    pub shape: Shape,
    /// `COUNT()`.
    pub counts: bool,
    /// Grouping, when rows are aggregated.
    pub grouping: Option<Grouping>,
    /// `WHERE`.
    pub filter: Option<Filter>,
    /// Where to look; `None` for everywhere.
    pub candidates: Option<Candidates>,
    /// `ORDER BY`.
    pub order: Vec<Order>,
    /// `LIMIT`.
    pub limit: Option<usize>,
    /// `OFFSET`.
    pub offset: usize,
}

/// One element of `ORDER BY`.
pub struct Order {
    /// By what.
    pub subject: Subject,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS LAST`.
    pub nulls_last: bool,
}

/// How rows are aggregated.
pub struct Grouping {
    /// `GROUP BY`.
    pub by: Vec<Column>,
    /// Aggregates worked out per group; the output and `HAVING` point into them.
    pub aggregates: Vec<(Function, Column)>,
    /// Name and source of each value in a row.
    pub output: Vec<(String, Subject)>,
    /// `HAVING`.
    pub having: Option<Filter>,
}

/// Binds the statements of one request.
pub struct Binder<'a> {
    /// The records, for semi-joins.
    pub view: &'a View<'a>,
    /// The text, for messages.
    pub statement: &'a str,
    /// Time and version.
    pub terms: Terms,
}

/// One statement's surroundings.
struct Scope<'q> {
    object: &'static Object,
    alias: Option<&'q str>,
    /// Whether it is itself the inner query of a semi-join.
    is_inner: bool,
}

impl Binder<'_> {
    /// Binds a whole statement.
    ///
    /// # Errors
    /// Unknown names, illegal combinations, literals of the wrong type.
    pub fn top(&self, query: &Query) -> Result<Plan> {
        let object = object(&query.from).ok_or_else(|| {
            self.fault(
                "INVALID_TYPE",
                &query.from,
                &format!(
                    "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to \
                     append the '__c' after the entity name. Please reference your WSDL or the describe call for the \
                     appropriate names.",
                    query.from
                ),
            )
        })?;
        self.plan(query, &Scope { object, alias: query.alias.as_deref(), is_inner: false }, true)
    }

    fn plan(&self, query: &Query, scope: &Scope<'_>, is_top: bool) -> Result<Plan> {
        let object = scope.object;
        if query.offset > FARTHEST_OFFSET {
            return Err(Refusal::new("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"));
        }
        let counts = matches!(query.select[..], [Selection::Count]);
        if !counts && query.select.contains(&Selection::Count) {
            return Err(Refusal::malformed("COUNT() must be the only element in the select list"));
        }
        let is_grouped = !query.group_by.is_empty()
            || query.select.iter().any(|selection| matches!(selection, Selection::Aggregate(..)));
        let filter =
            query.filter.as_ref().map(|condition| self.condition(condition, scope, &mut None)).transpose()?;
        if let Some(condition) = &query.filter {
            check_semi_joins(condition, scope.is_inner)?;
        }
        if object.name == "ContentDocumentLink" && is_top {
            check_link_filter(filter.as_ref())?;
        }
        let mut grouping = None;
        let mut shape = Shape::new(object);
        if is_grouped {
            grouping = Some(self.grouping(query, scope)?);
        } else if !counts {
            self.shape(query, scope, &mut shape, is_top)?;
        }
        if query.having.is_some() && grouping.is_none() {
            return Err(Refusal::malformed("HAVING requires a GROUP BY"));
        }
        let order = query
            .order_by
            .iter()
            .map(|order| self.order(order, scope, &mut grouping))
            .collect::<Result<_>>()?;
        let candidates = filter.as_ref().and_then(|filter| narrow::narrow(self.view, object, filter));
        let limit = query.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
        Ok(Plan { object, shape, counts, grouping, filter, candidates, order, limit, offset })
    }

    fn shape(&self, query: &Query, scope: &Scope<'_>, shape: &mut Shape, is_top: bool) -> Result<()> {
        for selection in &query.select {
            match selection {
                Selection::Field(path, alias) => {
                    if let Some(alias) = alias {
                        return Err(self.fault(
                            "MALFORMED_QUERY",
                            alias,
                            &format!("unexpected token: '{alias}'"),
                        ));
                    }
                    let column = self.column(path, scope)?;
                    if !shape.add(&column) {
                        return Err(Refusal::new(
                            "INVALID_FIELD",
                            format!("duplicate field selected: {}", column.field.name),
                        ));
                    }
                }
                Selection::Fields(set) => {
                    if *set != FieldSet::Standard && query.limit.is_none_or(|limit| limit > 200) {
                        return Err(Refusal::malformed(
                            "The SOQL FIELDS function must have a LIMIT of at most 200",
                        ));
                    }
                    for field in &scope.object.fields {
                        if *set == FieldSet::All || field.is_custom() == (*set == FieldSet::Custom) {
                            shape.add(&Column { hops: Vec::new(), field });
                        }
                    }
                }
                Selection::Children(inner) => {
                    if !is_top {
                        return Err(Refusal::malformed(
                            "Nested child subqueries deeper than one level are not supported",
                        ));
                    }
                    let child = self.child(&inner.from, scope.object)?;
                    let inner_scope = Scope {
                        object: known(child.object),
                        alias: inner.alias.as_deref(),
                        is_inner: scope.is_inner,
                    };
                    let plan = self.plan(inner, &inner_scope, false)?;
                    if plan.grouping.is_some() || plan.counts {
                        return Err(Refusal::malformed(
                            "Aggregate functions are not allowed in a child subquery",
                        ));
                    }
                    shape.parts.push(Part::Children(*child, Box::new(plan)));
                }
                Selection::TypeOf(path, cases, others) => {
                    let [name] = &path.0[..] else {
                        return Err(Refusal::malformed(
                            "TYPEOF takes a polymorphic relationship of the object",
                        ));
                    };
                    let reference = scope.object.parent(name).ok_or_else(|| self.no_relationship(name))?;
                    let shape_of = |object: &'static Object, paths: &[ast::Path]| {
                        let mut shape = Shape::new(object);
                        let inner = Scope { object, alias: None, is_inner: false };
                        for path in paths {
                            shape.add(&self.column(path, &inner)?);
                        }
                        Ok(shape)
                    };
                    let mut shapes = Vec::new();
                    for (target, paths) in cases {
                        let object = object(target).filter(|object| reference.targets.contains(&object.name));
                        let object = object.ok_or_else(|| self.no_relationship(target))?;
                        shapes.push(shape_of(object, paths)?);
                    }
                    for target in reference.targets {
                        if !shapes.iter().any(|shape| shape.object.name == *target) {
                            shapes.push(shape_of(known(target), others)?);
                        }
                    }
                    shape.parts.push(Part::TypeOf(reference, shapes));
                }
                Selection::Aggregate(..) | Selection::Count => {}
            }
        }
        Ok(())
    }

    fn grouping(&self, query: &Query, scope: &Scope<'_>) -> Result<Grouping> {
        let by = query.group_by.iter().map(|path| self.column(path, scope)).collect::<Result<Vec<_>>>()?;
        let mut grouping = Some(Grouping { by, aggregates: Vec::new(), output: Vec::new(), having: None });
        let mut output: Vec<(String, Subject)> = Vec::new();
        let mut unnamed = 0;
        for selection in &query.select {
            let (name, subject) = match selection {
                Selection::Field(path, alias) => {
                    let column = self.column(path, scope)?;
                    let subject = self.grouped(column, &grouping)?;
                    let name = match (&subject, alias) {
                        (_, Some(alias)) => alias.clone(),
                        (Subject::Column(column), None) => column.field.name.to_owned(),
                        (Subject::Aggregate(_), None) => String::new(),
                    };
                    (name, subject)
                }
                Selection::Aggregate(aggregate, alias) => {
                    let subject = self.aggregate(aggregate, scope, &mut grouping)?;
                    let name = alias.clone().unwrap_or_else(|| {
                        unnamed += 1;
                        format!("expr{}", unnamed - 1)
                    });
                    (name, subject)
                }
                _ => {
                    return Err(Refusal::malformed(
                        "Only grouped fields and aggregates can be selected when grouping",
                    ));
                }
            };
            if output.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::malformed(format!("duplicate alias: {name}")));
            }
            output.push((name, subject));
        }
        let having = query
            .having
            .as_ref()
            .map(|condition| self.condition(condition, scope, &mut grouping))
            .transpose()?;
        match grouping {
            Some(grouping) => Ok(Grouping { output, having, ..grouping }),
            None => Err(Refusal::malformed("GROUP BY expected")),
        }
    }

    /// A column as the value of a group.
    fn grouped(&self, column: Column, grouping: &Option<Grouping>) -> Result<Subject> {
        match grouping {
            Some(grouping) if !grouping.by.contains(&column) => {
                Err(Refusal::malformed(format!("Field must be grouped or aggregated: {}", column.field.name)))
            }
            _ => Ok(Subject::Column(column)),
        }
    }

    fn aggregate(
        &self,
        aggregate: &ast::Aggregate,
        scope: &Scope<'_>,
        grouping: &mut Option<Grouping>,
    ) -> Result<Subject> {
        let column = self.column(&aggregate.path, scope)?;
        let Some(grouping) = grouping else {
            return Err(Refusal::malformed("Aggregate functions are not allowed here"));
        };
        let is_legal = match aggregate.function {
            Function::Sum | Function::Avg => column.field.kind.is_number(),
            Function::Min | Function::Max => {
                !matches!(column.field.kind, Kind::Boolean | Kind::Base64 | Kind::Address)
            }
            Function::Count | Function::CountDistinct => column.field.filterable,
        };
        if !is_legal {
            let name = column.field.name;
            return Err(self.fault(
                "MALFORMED_QUERY",
                name,
                &format!("field {name} does not support aggregate operator"),
            ));
        }
        let key = (aggregate.function, column);
        let at =
            grouping.aggregates.iter().position(|other| *other == key).unwrap_or(grouping.aggregates.len());
        if at == grouping.aggregates.len() {
            grouping.aggregates.push(key);
        }
        Ok(Subject::Aggregate(at))
    }

    fn subject(
        &self,
        operand: &ast::Operand,
        scope: &Scope<'_>,
        grouping: &mut Option<Grouping>,
    ) -> Result<Subject> {
        match operand {
            ast::Operand::Field(path) => {
                // In HAVING and ORDER BY an alias of the select list may stand for its value.
                if let (Some(grouping), [name]) = (&grouping, &path.0[..])
                    && let Some((_, subject)) =
                        grouping.output.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name))
                {
                    return Ok(subject.clone());
                }
                let column = self.column(path, scope)?;
                if !column.field.filterable {
                    let name = column.field.name;
                    let message = format!("field '{name}' can not be filtered in a query call");
                    return Err(self.fault("INVALID_FIELD", name, &message));
                }
                self.grouped(column, grouping)
            }
            ast::Operand::Aggregate(aggregate) => self.aggregate(aggregate, scope, grouping),
        }
    }

    fn order(
        &self,
        order: &ast::Ordering,
        scope: &Scope<'_>,
        grouping: &mut Option<Grouping>,
    ) -> Result<Order> {
        let subject = self.subject(&order.operand, scope, grouping)?;
        Ok(Order { subject, descending: order.descending, nulls_last: order.nulls_last })
    }

    fn condition(
        &self,
        condition: &Condition,
        scope: &Scope<'_>,
        grouping: &mut Option<Grouping>,
    ) -> Result<Filter> {
        let mut all = |conditions: &[Condition]| {
            conditions
                .iter()
                .map(|condition| self.condition(condition, scope, grouping))
                .collect::<Result<Vec<_>>>()
        };
        Ok(match condition {
            Condition::And(terms) => Filter::And(all(terms)?),
            Condition::Or(terms) => Filter::Or(all(terms)?),
            Condition::Not(term) => Filter::Not(Box::new(self.condition(term, scope, grouping)?)),
            Condition::Compare(left, operator, literal) => {
                let subject = self.subject(left, scope, grouping)?;
                let operand = self.operand(&subject, literal)?;
                if let Subject::Column(Column { field: Field { kind: Kind::Boolean, name, .. }, .. }) =
                    &subject
                    && !matches!(operator, Operator::Equal | Operator::NotEqual)
                {
                    return Err(self.fault(
                        "INVALID_QUERY_FILTER_OPERATOR",
                        name,
                        "operator is not legal for a boolean field",
                    ));
                }
                Filter::Compare(subject, *operator, operand)
            }
            Condition::Like(left, pattern) => {
                let subject = self.subject(left, scope, grouping)?;
                match &subject {
                    Subject::Column(column) if column.field.kind.is_text() => {}
                    Subject::Column(column) => {
                        let message =
                            format!("The like operator is not valid on field {}", column.field.name);
                        return Err(self.fault("INVALID_QUERY_FILTER_OPERATOR", column.field.name, &message));
                    }
                    Subject::Aggregate(_) => {
                        return Err(Refusal::malformed("LIKE is not valid on an aggregate"));
                    }
                }
                Filter::Like(subject, pattern.clone())
            }
            Condition::In(left, negated, literals) => {
                let subject = self.subject(left, scope, grouping)?;
                let operands =
                    literals.iter().map(|literal| self.operand(&subject, literal)).collect::<Result<_>>()?;
                Filter::In(subject, *negated, operands)
            }
            Condition::InQuery(left, negated, query) => {
                let subject = self.subject(left, scope, grouping)?;
                Filter::InSet(subject, *negated, self.semi_join(query)?)
            }
            Condition::Includes(left, negated, values) => {
                let subject = self.subject(left, scope, grouping)?;
                if !matches!(&subject, Subject::Column(column) if column.field.kind == Kind::MultiPicklist) {
                    return Err(Refusal::new(
                        "INVALID_QUERY_FILTER_OPERATOR",
                        "includes and excludes operators are only valid on multipicklist fields",
                    ));
                }
                let values =
                    values.iter().map(|value| value.split(';').map(str::to_owned).collect()).collect();
                Filter::Includes(subject, *negated, values)
            }
        })
    }

    fn operand(&self, subject: &Subject, literal: &ast::Literal) -> Result<Operand> {
        let field = match subject {
            Subject::Column(column) => Some(column.field),
            Subject::Aggregate(_) => None,
        };
        operand(field, literal, self.terms.now).map_err(|refusal| {
            let name = field.map_or("", |field| field.name);
            self.fault(&refusal.code, name, &refusal.message)
        })
    }

    /// Runs the inner query of a semi-join: the ids that it selects.
    fn semi_join(&self, query: &Query) -> Result<HashSet<RecordId>> {
        let object = object(&query.from).ok_or_else(|| {
            Refusal::new("INVALID_TYPE", format!("sObject type '{}' is not supported.", query.from))
        })?;
        let scope = Scope { object, alias: query.alias.as_deref(), is_inner: true };
        let [Selection::Field(path, None)] = &query.select[..] else {
            return Err(Refusal::malformed(
                "semi join sub-selects can only query a single id or reference field",
            ));
        };
        let column = self.column(path, &scope)?;
        if !column.field.kind.is_id() {
            let message =
                format!("The inner select field '{}' must be an id or a reference field", column.field.name);
            return Err(Refusal::malformed(message));
        }
        let plan = self.plan(query, &scope, false)?;
        let mut ids = HashSet::new();
        for id in run::select(self.view, &Search::of(&plan), self.terms) {
            if let Some(record) = self.view.get(id)
                && let Some(value) = column.value(self.view, &record).as_str()
            {
                ids.extend(RecordId::parse(value));
            }
        }
        Ok(ids)
    }

    /// A field, perhaps over parents.
    fn column(&self, path: &ast::Path, scope: &Scope<'_>) -> Result<Column> {
        let mut names: &[String] = &path.0;
        if let [first, rest @ ..] = names
            && !rest.is_empty()
            && (scope.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(first))
                || (scope.object.name.eq_ignore_ascii_case(first) && scope.object.parent(first).is_none()))
        {
            names = rest;
        }
        let mut object = scope.object;
        let mut hops = Vec::new();
        let Some((last, parents)) = names.split_last() else {
            return Err(Refusal::malformed("a field is expected"));
        };
        for name in parents {
            let hop = object.parent(name).ok_or_else(|| self.no_relationship(name))?;
            object = hop.targets.first().map_or(object, |target| known(target));
            hops.push(hop);
        }
        let field = object.field(last).ok_or_else(|| {
            self.fault(
                "INVALID_FIELD",
                last,
                &format!(
                    "No such column '{last}' on entity '{object}'. If you are attempting to use a custom field, be \
                     sure to append the '__c' after the custom field name. Please reference your WSDL or the describe \
                     call for the appropriate names."
                ),
            )
        })?;
        if hops.len() > 5 {
            return Err(Refusal::malformed("only 5 relationships may be traversed to the parent"));
        }
        Ok(Column { hops, field })
    }

    fn child(&self, name: &str, object: &'static Object) -> Result<&'static Child> {
        object.child(name).ok_or_else(|| {
            self.fault(
                "INVALID_TYPE",
                name,
                &format!(
                    "Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use \
                     a custom relationship, be sure to append the '__r' after the custom relationship name. Please \
                     reference your WSDL or the describe call for the appropriate names."
                ),
            )
        })
    }

    fn no_relationship(&self, name: &str) -> Refusal {
        self.fault(
            "INVALID_FIELD",
            name,
            &format!(
                "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom \
                 relationship, be sure to append the '__r' after the custom relationship name. Please reference your \
                 WSDL or the describe call for the appropriate names."
            ),
        )
    }

    /// A refusal with the excerpt around a name.
    fn fault(&self, code: &str, name: &str, message: &str) -> Refusal {
        let lower = self.statement.to_ascii_lowercase();
        let at = lower.find(&name.to_ascii_lowercase()).unwrap_or(0);
        Refusal::new(code.to_owned(), soql::Malformed::at(self.statement, at, message).0)
    }
}

/// At most two semi-joins, none under `OR`, none within another.
fn check_semi_joins(condition: &Condition, is_inner: bool) -> Result<()> {
    fn count(condition: &Condition, under_or: bool) -> Result<usize> {
        let sum =
            |terms: &[Condition], or: bool| terms.iter().map(|term| count(term, or)).sum::<Result<usize>>();
        match condition {
            Condition::And(terms) => sum(terms, under_or),
            Condition::Or(terms) => sum(terms, true),
            Condition::Not(term) => count(term, under_or),
            Condition::InQuery(..) if under_or => {
                Err(Refusal::malformed("Semi join sub-selects are not allowed with the 'OR' operator"))
            }
            Condition::InQuery(..) => Ok(1),
            _ => Ok(0),
        }
    }
    match count(condition, false)? {
        0 => Ok(()),
        _ if is_inner => Err(Refusal::malformed("Nesting of semi join sub-selects is not supported")),
        1 | 2 => Ok(()),
        _ => Err(Refusal::malformed("A maximum of 2 semi join sub-selects are allowed")),
    }
}

/// Links are found from one side or the other only. Source: Salesforce reference §16.6.
fn check_link_filter(filter: Option<&Filter>) -> Result<()> {
    fn names_a_side(filter: &Filter) -> bool {
        let is_side = |subject: &Subject| {
            matches!(subject, Subject::Column(column) if column.hops.is_empty()
                && matches!(column.field.name, "ContentDocumentId" | "LinkedEntityId"))
        };
        match filter {
            Filter::And(terms) => terms.iter().any(names_a_side),
            Filter::Compare(subject, Operator::Equal, _) => is_side(subject),
            Filter::In(subject, false, _) | Filter::InSet(subject, false, _) => is_side(subject),
            _ => false,
        }
    }
    if filter.is_some_and(names_a_side) {
        return Ok(());
    }
    Err(Refusal::malformed(
        "Implementation restriction: ContentDocumentLink requires a filter by a single Id on ContentDocumentId or \
         LinkedEntityId using the equals operator or multiple Id's using the IN operator.",
    ))
}
