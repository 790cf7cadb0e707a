//! Between the contract's lease classes and terms and the types both sides agree on.

use std::time::Duration;

use portcullis_types::{LeaseClass, LeaseLengths, LeaseTerms};

use crate::InvalidWire;
use crate::auth::v1;

impl From<Option<LeaseClass>> for v1::LeaseClass {
    fn from(class: Option<LeaseClass>) -> Self {
        match class {
            None => Self::Unspecified,
            Some(LeaseClass::Strict) => Self::Strict,
            Some(LeaseClass::Standard) => Self::Standard,
            Some(LeaseClass::Tolerant) => Self::Tolerant,
            Some(LeaseClass::Hold) => Self::Hold,
        }
    }
}

impl From<v1::LeaseClass> for Option<LeaseClass> {
    fn from(wire: v1::LeaseClass) -> Self {
        match wire {
            v1::LeaseClass::Unspecified => None,
            v1::LeaseClass::Strict => Some(LeaseClass::Strict),
            v1::LeaseClass::Standard => Some(LeaseClass::Standard),
            v1::LeaseClass::Tolerant => Some(LeaseClass::Tolerant),
            v1::LeaseClass::Hold => Some(LeaseClass::Hold),
        }
    }
}

impl From<LeaseTerms> for v1::LeaseTerms {
    fn from(terms: LeaseTerms) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let LeaseLengths { strict, standard, tolerant, hold_max, bound } = terms.lengths();
        Self {
            strict_ms: millis(strict),
            standard_ms: millis(standard),
            tolerant_ms: millis(tolerant),
            hold_max_ms: millis(hold_max),
            bound_ms: millis(bound),
        }
    }
}

impl TryFrom<v1::LeaseTerms> for LeaseTerms {
    type Error = InvalidWire;

    fn try_from(wire: v1::LeaseTerms) -> Result<Self, InvalidWire> {
        let millis = |ms: i64| {
            let ms = u64::try_from(ms).map_err(|_| InvalidWire { what: "lease terms with a negative duration" })?;
            Ok(Duration::from_millis(ms))
        };
        let lengths = LeaseLengths {
            strict: millis(wire.strict_ms)?,
            standard: millis(wire.standard_ms)?,
            tolerant: millis(wire.tolerant_ms)?,
            hold_max: millis(wire.hold_max_ms)?,
            bound: millis(wire.bound_ms)?,
        };
        Self::new(lengths).map_err(|_| InvalidWire { what: "lease terms that break their order" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_same_word_on_both_sides() {
        for class in LeaseClass::ALL {
            let wire = v1::LeaseClass::from(Some(class));
            assert_eq!(wire.as_str_name(), format!("LEASE_CLASS_{}", class.word().to_ascii_uppercase()));
            assert_eq!(Option::<LeaseClass>::from(wire), Some(class));
        }
        assert_eq!(Option::<LeaseClass>::from(v1::LeaseClass::from(None)), None);
    }

    #[test]
    fn terms_come_back_as_they_went_and_others_are_refused() {
        let wire = v1::LeaseTerms {
            strict_ms: 5_000,
            standard_ms: 15_000,
            tolerant_ms: 60_000,
            hold_max_ms: 60_000,
            bound_ms: 15_000,
        };
        let terms = LeaseTerms::try_from(wire).expect("they hold");
        assert_eq!(v1::LeaseTerms::from(terms), wire);
        assert!(LeaseTerms::try_from(v1::LeaseTerms { strict_ms: -1, ..wire }).is_err());
        assert!(LeaseTerms::try_from(v1::LeaseTerms { bound_ms: 14_999, ..wire }).is_err());
    }
}
