//! The bitmaps of a change event's header: which fields, by their place in the schema.
//! Source: Salesforce reference §23.3.

use std::collections::BTreeMap;

/// A set of fields, and of members of compound fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    fields: Vec<usize>,
    members: BTreeMap<usize, Vec<usize>>,
}

impl Bitmap {
    /// Adds the field at a place of the record; the header's own place is 0.
    pub fn add(&mut self, field: usize) {
        self.fields.push(field);
    }

    /// Adds a member of the compound field at a place.
    pub fn add_member(&mut self, field: usize, member: usize) {
        self.members.entry(field).or_default().push(member);
    }

    /// As the header shows it: empty for no field; otherwise the record's own bits come first, also when none is set.
    pub fn to_list(&self) -> Vec<String> {
        if self.fields.is_empty() && self.members.is_empty() {
            return Vec::new();
        }
        let own = format!("0x{}", hexadecimal(&self.fields));
        let nested = self.members.iter().map(|(field, bits)| format!("{field}-0x{}", hexadecimal(bits)));
        std::iter::once(own).chain(nested).collect()
    }
}

/// Big-endian, upper case, whole bytes: readers are known to lose fields over anything else.
fn hexadecimal(bits: &[usize]) -> String {
    let length = bits.iter().max().map_or(1, |highest| highest / 8 + 1);
    let mut bytes = vec![0_u8; length];
    for bit in bits {
        bytes[length - 1 - bit / 8] |= 1 << (bit % 8);
    }
    hex::encode_upper(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(fields: &[usize], members: &[(usize, usize)]) -> Vec<String> {
        let mut bitmap = Bitmap::default();
        fields.iter().for_each(|field| bitmap.add(*field));
        members.iter().for_each(|(field, member)| bitmap.add_member(*field, *member));
        bitmap.to_list()
    }

    #[test]
    fn the_check_vectors_of_the_reference_come_out() {
        assert_eq!(bitmap(&[11, 22], &[]), ["0x400800"]);
        assert_eq!(bitmap(&[1, 2, 4], &[]), ["0x16"]);
        assert_eq!(bitmap(&[1, 3], &[]), ["0x0A"]);
        assert_eq!(bitmap(&[1, 3], &[(4, 1)]), ["0x0A", "4-0x02"]);
        assert!(bitmap(&[], &[]).is_empty());
    }

    #[test]
    fn digits_are_upper_case_and_whole_bytes_and_the_first_element_is_never_missing() {
        assert_eq!(bitmap(&[], &[(5, 0), (5, 9), (12, 3)]), ["0x00", "5-0x0201", "12-0x08"]);
        assert_eq!(bitmap(&[63, 64], &[]), ["0x018000000000000000"]);
    }
}
