//! The grammar, by recursive descent over tokens.

use crate::sandbox::salesforce::soql::{
    LONGEST_STATEMENT, Malformed,
    ast::{
        Aggregate, Condition, FieldSet, Function, Literal, Operand, Operator, Ordering, Path, Piece, Query,
        Selection,
    },
    lexer::{Kind, Token, plain, tokens},
    period::Period,
};

/// Words that end what stands before them and so are no alias.
const KEYWORDS: [&str; 17] = [
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "AND", "OR", "NOT",
    "IN", "LIKE", "WITH", "USING", "ALL",
];

/// Parentheses and subqueries within each other; deeper statements are refused.
const DEEPEST: usize = 50;

/// Parent steps of a path.
const LONGEST_PATH: usize = 6;

type Result<T> = std::result::Result<T, Malformed>;

/// Reads a statement.
///
/// # Errors
/// What is no SOQL, with its place.
pub fn parse(statement: &str) -> Result<Query> {
    if statement.chars().count() > LONGEST_STATEMENT {
        return Err(Malformed("SOQL statements cannot be longer than 100000 characters.".to_owned()));
    }
    let tokens = tokens(statement)?;
    let mut parser = Parser { statement, tokens: &tokens, next: 0, depth: 0 };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    statement: &'a str,
    tokens: &'a [Token],
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn query(&mut self) -> Result<Query> {
        self.enter()?;
        self.keyword("SELECT")?;
        let select = self.list(Self::selection)?;
        self.keyword("FROM")?;
        // Two objects are called as keywords are.
        let from = if self.at_word("ORDER") || self.at_word("GROUP") { self.word()? } else { self.name()? };
        let alias = self.alias()?;
        let filter = if self.take_word("WHERE") { Some(self.condition()?) } else { None };
        let mut group_by = Vec::new();
        if self.take_word("GROUP") {
            self.keyword("BY")?;
            group_by = self.list(Self::path)?;
        }
        let having = if self.take_word("HAVING") { Some(self.condition()?) } else { None };
        let mut order_by = Vec::new();
        if self.take_word("ORDER") {
            self.keyword("BY")?;
            order_by = self.list(Self::ordering)?;
        }
        let limit = if self.take_word("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.take_word("OFFSET") { self.count()? } else { 0 };
        while self.take_word("FOR") {
            if !["VIEW", "REFERENCE", "UPDATE"].iter().any(|word| self.take_word(word)) {
                return Err(self.unexpected());
            }
        }
        self.depth -= 1;
        Ok(Query { select, from, alias, filter, group_by, having, order_by, limit, offset })
    }

    fn selection(&mut self) -> Result<Selection> {
        if self.take_sign("(") {
            let query = self.query()?;
            self.sign(")")?;
            return Ok(Selection::Children(Box::new(query)));
        }
        if self.at_word("TYPEOF") && !self.sign_follows(".") {
            self.next += 1;
            return self.type_of();
        }
        if self.sign_follows("(") {
            if self.take_word("FIELDS") {
                self.sign("(")?;
                let sets =
                    [("ALL", FieldSet::All), ("STANDARD", FieldSet::Standard), ("CUSTOM", FieldSet::Custom)];
                let Some((_, set)) = sets.into_iter().find(|(word, _)| self.take_word(word)) else {
                    return Err(self.unexpected());
                };
                self.sign(")")?;
                return Ok(Selection::Fields(set));
            }
            if self.at_word("COUNT")
                && matches!(self.tokens.get(self.next + 2), Some(Token { kind: Kind::Sign(")"), .. }))
            {
                self.next += 3;
                return Ok(Selection::Count);
            }
            let aggregate = self.aggregate()?;
            return Ok(Selection::Aggregate(aggregate, self.alias()?));
        }
        Ok(Selection::Field(self.path()?, self.alias()?))
    }

    fn type_of(&mut self) -> Result<Selection> {
        let reference = self.path()?;
        let mut cases = Vec::new();
        while self.take_word("WHEN") {
            let object = self.name()?;
            self.keyword("THEN")?;
            cases.push((object, self.list(Self::path)?));
        }
        if cases.is_empty() {
            return Err(self.unexpected());
        }
        let others = if self.take_word("ELSE") { self.list(Self::path)? } else { Vec::new() };
        self.keyword("END")?;
        Ok(Selection::TypeOf(reference, cases, others))
    }

    fn aggregate(&mut self) -> Result<Aggregate> {
        let functions = [
            ("COUNT", Function::Count),
            ("COUNT_DISTINCT", Function::CountDistinct),
            ("SUM", Function::Sum),
            ("AVG", Function::Avg),
            ("MIN", Function::Min),
            ("MAX", Function::Max),
        ];
        let Some((_, function)) = functions.into_iter().find(|(word, _)| self.take_word(word)) else {
            return Err(self.unexpected());
        };
        self.sign("(")?;
        let path = self.path()?;
        self.sign(")")?;
        Ok(Aggregate { function, path })
    }

    fn operand(&mut self) -> Result<Operand> {
        if self.sign_follows("(") {
            Ok(Operand::Aggregate(self.aggregate()?))
        } else {
            Ok(Operand::Field(self.path()?))
        }
    }

    fn ordering(&mut self) -> Result<Ordering> {
        let operand = self.operand()?;
        let descending = if self.take_word("DESC") {
            true
        } else {
            self.take_word("ASC");
            false
        };
        let mut nulls_last = false;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.keyword("FIRST")?;
            }
        }
        Ok(Ordering { operand, descending, nulls_last })
    }

    /// `AND` and `OR` beside each other need parentheses.
    fn condition(&mut self) -> Result<Condition> {
        self.enter()?;
        let mut terms = vec![self.term()?];
        let mut word = None;
        for candidate in ["AND", "OR"] {
            if self.at_word(candidate) {
                word = Some(candidate);
            }
        }
        if let Some(word) = word {
            while self.take_word(word) {
                terms.push(self.term()?);
            }
            if self.at_word("AND") || self.at_word("OR") {
                return Err(self.unexpected());
            }
        }
        self.depth -= 1;
        Ok(match (word, terms.len()) {
            (Some("OR"), _) => Condition::Or(terms),
            (Some(_), _) => Condition::And(terms),
            (None, _) => terms.remove(0),
        })
    }

    fn term(&mut self) -> Result<Condition> {
        if self.take_word("NOT") {
            self.enter()?;
            let term = self.term()?;
            self.depth -= 1;
            return Ok(Condition::Not(Box::new(term)));
        }
        if self.take_sign("(") {
            let condition = self.condition()?;
            self.sign(")")?;
            return Ok(condition);
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Result<Condition> {
        let operand = self.operand()?;
        let negated = self.take_word("NOT");
        if self.take_word("IN") {
            self.sign("(")?;
            let condition = if self.at_word("SELECT") {
                Condition::InQuery(operand, negated, Box::new(self.query()?))
            } else {
                Condition::In(operand, negated, self.list(Self::literal)?)
            };
            self.sign(")")?;
            return Ok(condition);
        }
        if negated {
            return Err(self.unexpected());
        }
        if self.take_word("LIKE") {
            return Ok(Condition::Like(operand, self.text()?));
        }
        for (word, excludes) in [("INCLUDES", false), ("EXCLUDES", true)] {
            if self.take_word(word) {
                self.sign("(")?;
                let values = self.list(|parser| Ok(plain(&parser.text()?)))?;
                self.sign(")")?;
                return Ok(Condition::Includes(operand, excludes, values));
            }
        }
        let operators = [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<", Operator::Less),
            ("<=", Operator::LessOrEqual),
            (">", Operator::Greater),
            (">=", Operator::GreaterOrEqual),
        ];
        let Some((_, operator)) = operators.into_iter().find(|(sign, _)| self.take_sign(sign)) else {
            return Err(self.unexpected());
        };
        let at = self.next;
        let literal = self.literal()?;
        if literal == Literal::Null && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            self.next = at;
            return Err(self.unexpected());
        }
        Ok(Condition::Compare(operand, operator, literal))
    }

    fn literal(&mut self) -> Result<Literal> {
        let Some(Token { kind, .. }) = self.peek() else { return Err(self.unexpected()) };
        let literal = match kind {
            Kind::Text(pieces) => Literal::Text(plain(pieces)),
            Kind::Number(number) => Literal::Number(*number),
            Kind::Date(date) => Literal::Date(*date),
            Kind::DateTime(at) => Literal::DateTime(*at),
            Kind::Word(word) if word.eq_ignore_ascii_case("null") => Literal::Null,
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Boolean(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Boolean(false),
            Kind::Word(word) => match (Period::parse(word), currency(word)) {
                (Some(period), _) => Literal::Period(period),
                (None, Some(amount)) => Literal::Currency(amount),
                (None, None) => return Err(self.unexpected()),
            },
            Kind::Sign(_) => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(literal)
    }

    fn text(&mut self) -> Result<Vec<Piece>> {
        match self.peek() {
            Some(Token { kind: Kind::Text(pieces), .. }) => {
                self.next += 1;
                Ok(pieces.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn count(&mut self) -> Result<u64> {
        match self.peek() {
            Some(Token { kind: Kind::Number(number), .. }) if *number >= 0.0 && number.fract() == 0.0 => {
                self.next += 1;
                Ok(*number as u64)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn path(&mut self) -> Result<Path> {
        // A relationship may be called as a keyword is: `Order.AccountId`.
        let mut names = vec![if self.sign_follows(".") { self.word()? } else { self.name()? }];
        while self.take_sign(".") {
            names.push(self.word()?);
            if names.len() > LONGEST_PATH + 1 {
                return Err(self.fault("only 5 relationships may be traversed to the parent"));
            }
        }
        Ok(Path(names))
    }

    fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token { kind: Kind::Word(word), .. }) if is_keyword(word) => Err(self.unexpected()),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token { kind: Kind::Word(word), .. }) if !word.contains(':') => {
                self.next += 1;
                Ok(word.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn alias(&mut self) -> Result<Option<String>> {
        match self.peek() {
            Some(Token { kind: Kind::Word(word), .. }) if !is_keyword(word) => self.name().map(Some),
            _ => Ok(None),
        }
    }

    fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut list = vec![element(self)?];
        while self.take_sign(",") {
            list.push(element(self)?);
        }
        Ok(list)
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.next)
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token { kind: Kind::Word(found), .. }) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.next += usize::from(found);
        found
    }

    fn keyword(&mut self, word: &str) -> Result<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn sign_follows(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.next + 1), Some(Token { kind: Kind::Sign(found), .. }) if *found == sign)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token { kind: Kind::Sign(found), .. }) if *found == sign);
        self.next += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &str) -> Result<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(self.fault("the statement is nested too deeply")) } else { Ok(()) }
    }

    fn unexpected(&self) -> Malformed {
        let token = self.peek().map_or("<EOF>", |token| &self.statement[token.at..token.end]);
        self.fault(&format!("unexpected token: '{token}'"))
    }

    fn fault(&self, reason: &str) -> Malformed {
        let at = self.peek().map_or(self.statement.len(), |token| token.at);
        Malformed::at(self.statement, at, reason)
    }
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// An amount such as `JPY1000`.
fn currency(word: &str) -> Option<f64> {
    let (code, amount) = word.split_at_checked(3)?;
    (code.bytes().all(|b| b.is_ascii_uppercase()) && amount.bytes().all(|b| b.is_ascii_digit()))
        .then(|| amount.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_subset_is_read() {
        for statement in [
            "select id from account",
            "SELECT Id, Name FROM Account WHERE Id = '001000000000001AAA' LIMIT 1",
            "SELECT Id, Account.Owner.Name, (SELECT Id FROM Cases WHERE IsClosed = false ORDER BY Id LIMIT 5) FROM Account a",
            "SELECT COUNT() FROM Case",
            "SELECT COUNT(Id) c, Status FROM Case GROUP BY Status HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC NULLS LAST",
            "SELECT Id FROM Order WHERE Status IN ('A', 'B') AND (EffectiveDate >= 2026-01-01 OR CreatedDate < 2026-11-20T03:04:05+09:00)",
            "SELECT Id FROM Order WHERE NOT Status NOT IN ('A')",
            "SELECT Id FROM Case WHERE Subject LIKE '%50\\%\\_%' AND NOT (ClosedDate = null)",
            "SELECT Id FROM Case WHERE CreatedDate = LAST_N_DAYS:30 AND ClosedDate != TODAY",
            "SELECT Id FROM OrderItem WHERE OrderId IN (SELECT Id FROM Order WHERE AccountId = '001000000000001')",
            "SELECT Id FROM Product2 WHERE Tags__c INCLUDES ('a;b', 'c')",
            "SELECT FIELDS(STANDARD) FROM Account LIMIT 200",
            "SELECT Id FROM Account ORDER BY Name ASC NULLS FIRST, Id DESC LIMIT 10 OFFSET 20 FOR VIEW FOR REFERENCE",
            "SELECT Id FROM PricebookEntry WHERE UnitPrice > JPY1000 AND UnitPrice < 1.5e",
            "SELECT TYPEOF Owner WHEN User THEN Name, Email ELSE Id END FROM Case",
            "SELECT Id FROM Account WHERE Name = '\\u6771\\u4EAC \\'\\\\\\n'",
        ] {
            let read = parse(statement);
            assert_eq!(read.is_ok(), !statement.ends_with("1.5e"), "{statement}: {read:?}");
        }
    }

    #[test]
    fn what_is_no_soql_is_refused_with_its_place() {
        for (statement, reason) in [
            ("", "unexpected token: '<EOF>'"),
            ("SELECT FROM Account", "unexpected token: 'FROM'"),
            ("SELECT Id FROM Account WHERE", "unexpected token: '<EOF>'"),
            ("SELECT Id FROM Account WHERE Name = O'Brien'", "unexpected token: 'O'"),
            (
                "SELECT Id FROM Account WHERE Name = 'O'Brien'",
                "line 1:44 mismatched character '<EOF>' expecting '''",
            ),
            (
                "SELECT Id FROM Account WHERE Name = 'x\\'",
                "line 1:36 mismatched character '<EOF>' expecting '''",
            ),
            (
                "SELECT Id FROM Account WHERE Name = 'x\\'\\",
                "line 1:36 mismatched character '<EOF>' expecting '''",
            ),
            ("SELECT Id FROM Account WHERE Name = 'a\\qb'", "invalid escape sequence in string literal"),
            ("SELECT Id FROM Account WHERE Id IN ()", "unexpected token: ')'"),
            ("SELECT Id FROM Account WHERE A = 1 AND B = 2 OR C = 3", "unexpected token: 'OR'"),
            ("SELECT Id FROM Account WHERE A = 1 OR B = 2 AND C = 3", "unexpected token: 'AND'"),
            ("SELECT Id FROM Account WHERE A < NULL", "unexpected token: 'NULL'"),
            ("SELECT Id FROM Account; DROP", "line 1:22 no viable alternative at character ';'"),
            ("SELECT Id FROM Account LIMIT -1", "unexpected token: '-1'"),
            ("SELECT Id FROM Account WHERE D = 2026-13-01", "unexpected token: '-13'"),
            ("SELECT Id FROM Account -- x", "line 1:23 no viable alternative at character '-'"),
            ("SELECT a.b.c.d.e.f.g.h FROM Account", "only 5 relationships may be traversed to the parent"),
        ] {
            let message = parse(statement).unwrap_err().0;
            assert!(message.ends_with(reason), "{statement}: {message}");
        }
        let message = parse("SELECT Id FROM Account WHERE Name = O'Brien'").unwrap_err().0;
        assert!(
            message.contains("\n                                    ^\nERROR at Row:1:Column:37\n"),
            "{message}"
        );
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        let deep = format!("SELECT Id FROM Account WHERE {}A = 1{}", "(".repeat(40_000), ")".repeat(40_000));
        assert!(parse(&deep).unwrap_err().0.contains("nested too deeply"));
        let deep = format!("SELECT Id FROM Account WHERE {} A = 1", "NOT ".repeat(20_000));
        assert!(parse(&deep).unwrap_err().0.contains("nested too deeply"));
    }

    /// The builder's rule of the reference, §10.
    fn quoted(value: &str) -> String {
        let mut literal = String::from("'");
        for c in value.chars() {
            match c {
                '\\' => literal.push_str("\\\\"),
                '\'' => literal.push_str("\\'"),
                '"' => literal.push_str("\\\""),
                '\n' => literal.push_str("\\n"),
                '\r' => literal.push_str("\\r"),
                '\t' => literal.push_str("\\t"),
                other => literal.push(other),
            }
        }
        literal + "'"
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,80}", tail in "[\\x00-\\x7f]{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("SELECT Id FROM Account WHERE {tail}"));
            let _ = parse(&format!("SELECT {tail} FROM Account"));
        }

        #[test]
        fn a_quoted_value_is_read_back_and_stays_a_value(value in "[^\\x00]{0,60}") {
            let query = parse(&format!("SELECT Id FROM Account WHERE Name = {} AND IsDeleted = false", quoted(&value))).unwrap();
            let Some(Condition::And(terms)) = query.filter else { panic!("two terms") };
            prop_assert_eq!(terms.len(), 2);
            prop_assert_eq!(
                &terms[0],
                &Condition::Compare(Operand::Field(Path(vec!["Name".to_owned()])), Operator::Equal, Literal::Text(value))
            );
        }
    }
}
