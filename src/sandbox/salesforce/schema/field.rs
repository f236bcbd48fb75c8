//! One field of an object: its type, sizes and flags.

/// The type of a field, as `describe` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The record's id.
    Id,
    /// A line of text.
    Text,
    /// Text of several lines.
    TextArea,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A web address.
    Url,
    /// One value of a list.
    Picklist,
    /// Several values of a list, joined with `;`.
    MultiPicklist,
    /// The id of another record.
    Reference,
    /// True or false, never null.
    Boolean,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// An amount.
    Currency,
    /// A percentage.
    Percent,
    /// A day.
    Date,
    /// An instant, UTC.
    DateTime,
    /// Bytes.
    Base64,
    /// The parts of an address together.
    Address,
}

impl Kind {
    /// `type` of `describe`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Text => "string",
            Self::TextArea => "textarea",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Url => "url",
            Self::Picklist => "picklist",
            Self::MultiPicklist => "multipicklist",
            Self::Reference => "reference",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Double => "double",
            Self::Currency => "currency",
            Self::Percent => "percent",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Base64 => "base64",
            Self::Address => "address",
        }
    }

    /// `soapType` of `describe`.
    pub const fn soap_type(self) -> &'static str {
        match self {
            Self::Id | Self::Reference => "tns:ID",
            Self::Boolean => "xsd:boolean",
            Self::Int => "xsd:int",
            Self::Double | Self::Currency | Self::Percent => "xsd:double",
            Self::Date => "xsd:date",
            Self::DateTime => "xsd:dateTime",
            Self::Base64 => "xsd:base64Binary",
            Self::Address => "urn:address",
            _ => "xsd:string",
        }
    }

    /// Whether its values are text.
    pub const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::TextArea
                | Self::Email
                | Self::Phone
                | Self::Url
                | Self::Picklist
                | Self::MultiPicklist
        )
    }

    /// Whether its values are ids.
    pub const fn is_id(self) -> bool {
        matches!(self, Self::Id | Self::Reference)
    }

    /// Whether its values are numbers.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double | Self::Currency | Self::Percent)
    }
}

/// How a field's value comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is stored.
    Stored,
    /// It is worked out when it is read.
    Computed,
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// API name in its canonical case.
    pub name: &'static str,
    /// What people see.
    pub label: String,
    /// Type.
    pub kind: Kind,
    /// Longest text, characters (bytes where `length_in_bytes`).
    pub length: usize,
    /// The length counts bytes of UTF-8: comments on cases.
    pub length_in_bytes: bool,
    /// Must have a value.
    pub required: bool,
    /// May be given when creating.
    pub createable: bool,
    /// May be given when updating.
    pub updateable: bool,
    /// A key for upsert.
    pub external_id: bool,
    /// No two records have the same value.
    pub unique: bool,
    /// Compared with regard to case.
    pub case_sensitive: bool,
    /// Can be a key to look a record up by (`idLookup`).
    pub id_lookup: bool,
    /// May stand in `WHERE`.
    pub filterable: bool,
    /// Values of a picklist.
    pub values: &'static [&'static str],
    /// Other values are refused.
    pub restricted: bool,
    /// Value when none is given on create.
    pub default: Option<&'static str>,
    /// Objects that a reference may point to.
    pub targets: &'static [&'static str],
    /// Name of the reference as a relationship.
    pub relationship: Option<&'static str>,
    /// Numbered by the platform.
    pub auto_number: bool,
    /// Stored or computed.
    pub source: Source,
}

impl Field {
    fn new(name: &'static str, kind: Kind, length: usize) -> Self {
        Self {
            name,
            label: label(name),
            kind,
            length,
            length_in_bytes: false,
            required: false,
            createable: true,
            updateable: true,
            external_id: false,
            unique: false,
            case_sensitive: false,
            id_lookup: false,
            filterable: true,
            values: &[],
            restricted: false,
            default: None,
            targets: &[],
            relationship: None,
            auto_number: false,
            source: Source::Stored,
        }
    }

    /// Must have a value.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Cannot be written.
    pub fn read_only(mut self) -> Self {
        self.createable = false;
        self.updateable = false;
        self
    }

    /// Worked out when it is read, and so cannot be written.
    pub fn computed(mut self) -> Self {
        self.source = Source::Computed;
        self.read_only()
    }

    /// May be given when creating only.
    pub fn create_only(mut self) -> Self {
        self.updateable = false;
        self
    }

    /// No two records have the same value; a key for upsert.
    pub fn external_key(mut self) -> Self {
        self.unique = true;
        self.external_id = true;
        self.id_lookup = true;
        self
    }

    /// No two records have the same value.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// May not stand in `WHERE`, as long text may not.
    pub fn not_filterable(mut self) -> Self {
        self.filterable = false;
        self
    }

    /// Length counted in bytes.
    pub fn in_bytes(mut self) -> Self {
        self.length_in_bytes = true;
        self
    }

    /// Other values than the listed ones are refused.
    pub fn restricted(mut self) -> Self {
        self.restricted = true;
        self
    }

    /// Value when none is given on create.
    pub fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// Numbered by the platform.
    pub fn auto_number(mut self) -> Self {
        self.auto_number = true;
        self.read_only()
    }

    /// Another label than the name gives.
    pub fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Whether the organisation added it.
    pub fn is_custom(&self) -> bool {
        self.name.ends_with("__c") || self.name.ends_with("__pc")
    }

    /// Whether the platform fills it in when nothing is given.
    pub fn defaulted_on_create(&self) -> bool {
        self.default.is_some() || self.kind == Kind::Boolean || self.auto_number || self.name == "OwnerId"
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $function:ident => $kind:ident, $length:expr;)*) => {
        $($(#[$doc])* pub fn $function(name: &'static str) -> Field { Field::new(name, Kind::$kind, $length) })*
    };
}

kinds! {
    /// An e-mail address.
    email => Email, 80;
    /// A phone number.
    phone => Phone, 40;
    /// A web address.
    url => Url, 255;
    /// A flag.
    boolean => Boolean, 0;
    /// A whole number.
    int => Int, 0;
    /// A number.
    double => Double, 0;
    /// An amount, JPY.
    currency => Currency, 0;
    /// A percentage.
    percent => Percent, 0;
    /// A day.
    date => Date, 0;
    /// An instant.
    datetime => DateTime, 0;
}

/// A line of text.
pub fn text(name: &'static str, length: usize) -> Field {
    Field::new(name, Kind::Text, length)
}

/// Lines of text; longer than 255 characters they may not be filtered.
pub fn text_area(name: &'static str, length: usize) -> Field {
    let field = Field::new(name, Kind::TextArea, length);
    if length > 255 { field.not_filterable() } else { field }
}

/// One value of a list.
pub fn picklist(name: &'static str, values: &'static [&'static str]) -> Field {
    Field { values, ..Field::new(name, Kind::Picklist, 255) }
}

/// A reference with its relationship's name.
pub fn reference(name: &'static str, relationship: &'static str, targets: &'static [&'static str]) -> Field {
    Field { targets, relationship: Some(relationship), ..Field::new(name, Kind::Reference, 18) }
}

/// Bytes; a row shows where they are.
pub fn base64(name: &'static str) -> Field {
    Field::new(name, Kind::Base64, 0).not_filterable()
}

/// The street, city, state, postal code and country of a prefix, and all of them together.
pub fn address(names: [&'static str; 6]) -> Vec<Field> {
    let [street, city, state, postal_code, country, compound] = names;
    vec![
        Field::new(street, Kind::TextArea, 255),
        text(city, 40),
        text(state, 80),
        text(postal_code, 20),
        text(country, 80),
        Field::new(compound, Kind::Address, 0).computed().not_filterable(),
    ]
}

/// The id of every object.
pub fn id() -> Field {
    Field { id_lookup: true, ..Field::new("Id", Kind::Id, 18).read_only().required() }
}

/// The audit fields of every object.
pub fn audit() -> Vec<Field> {
    vec![
        boolean("IsDeleted").read_only().label("Deleted"),
        datetime("CreatedDate").read_only(),
        reference("CreatedById", "CreatedBy", &["User"]).read_only(),
        datetime("LastModifiedDate").read_only(),
        reference("LastModifiedById", "LastModifiedBy", &["User"]).read_only(),
        datetime("SystemModstamp").read_only(),
    ]
}

/// `AccountId` → `Account ID`, `Order_Type__c` → `Order Type`, `SF_Account_No__c` → `SF Account No`.
fn label(name: &str) -> String {
    let name = name.trim_end_matches("__c").trim_end_matches("__pc").replace('_', " ");
    let mut label = String::new();
    let mut previous = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            label.push(' ');
        }
        label.push(c);
        previous = c;
    }
    if let Some(stem) = label.strip_suffix(" Id") {
        return format!("{stem} ID");
    }
    label
}
