//! From claims to an identity's name and to roles.
//!
//! Guarantees: a claim counts only when it has the type that the rule wants; an e-mail address counts only when the
//! issuer says that it is verified, in names and in roles. A claim that is missing makes no name and no role.

use portcullis_types::{IdentityName, InvalidName, RoleName};
use serde_json::{Map, Value};

use crate::identities::is_reserved;

/// The most role rules that an issuer has.
pub const MAX_RULES: usize = 64;

const MAX_TEMPLATE: usize = 128;
const MAX_DEPTH: usize = 4;

/// The name of a claim. Where no claim has the whole name, dots lead into objects: `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimName(Box<str>);

impl ClaimName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the claims say, as far as it counts: an address that is not verified is as good as none.
    fn of<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        if self.0.split('.').any(|part| part == "email") && !self.is_verified(claims) {
            return None;
        }
        self.find(claims)
    }

    /// Whether the issuer says beside an address that it is verified: of `email` in `email_verified`.
    fn is_verified(&self, claims: &Map<String, Value>) -> bool {
        Self(format!("{}_verified", self.0).into()).find(claims) == Some(&Value::Bool(true))
    }

    fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        if let Some(value) = claims.get(&*self.0) {
            return Some(value);
        }
        let mut parts = self.0.split('.').take(MAX_DEPTH);
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_object()?.get(part))
    }
}

impl TryFrom<&str> for ClaimName {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let plain = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}')
            && text.split('.').count() <= 2 * MAX_DEPTH;
        if plain {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName { what: "claim", rule: "1 to 128 visible ASCII characters without { and }" })
        }
    }
}

/// How a name is made of claims: `{sub}`, `corp:{email}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    text: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Claim(ClaimName),
}

impl NameTemplate {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the claims make, if they make one. None is a tombstone's: claims are what a user of the issuer says.
    pub(crate) fn name(&self, claims: &Map<String, Value>) -> Option<IdentityName> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Claim(claim) => name.push_str(claim.of(claims)?.as_str().filter(|value| !value.is_empty())?),
            }
        }
        IdentityName::try_from(&*name).ok().filter(|name| !is_reserved(name))
    }
}

impl TryFrom<&str> for NameTemplate {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let invalid = InvalidName {
            what: "name template",
            rule: "at most 128 visible ASCII characters with at least one {claim}, such as corp:{sub}",
        };
        if text.len() > MAX_TEMPLATE || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid);
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (claim, tail) = after.split_once('}').ok_or(invalid)?;
            parts.extend((!before.is_empty()).then(|| Part::Text(before.into())));
            parts.push(Part::Claim(ClaimName::try_from(claim).map_err(|_| invalid)?));
            rest = tail;
        }
        let texts_are_plain = parts.iter().all(|part| !matches!(part, Part::Text(text) if text.contains('}')));
        if parts.is_empty() || rest.contains('}') || !texts_are_plain {
            return Err(invalid);
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.into())));
        Ok(Self { text: text.into(), parts })
    }
}

/// A role for whoever has a claim with a value: the claim is this text, or a list with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRule {
    /// The claim.
    pub claim: ClaimName,
    /// The value, compared byte for byte; at most 255 bytes.
    pub value: Box<str>,
    /// The role.
    pub role: RoleName,
}

impl RoleRule {
    fn applies(&self, claims: &Map<String, Value>) -> bool {
        match self.claim.of(claims) {
            Some(Value::String(text)) => **text == *self.value,
            Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(&*self.value)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
        }
    }
}

/// Whose an issuer's tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The name of the identity.
    pub name: NameTemplate,
    /// Roles by claims, beside those that the identity has here.
    pub roles: Vec<RoleRule>,
    /// A subject that is seen for the first time gets a new identity, where none has the name.
    pub create_identities: bool,
    /// A subject that is seen for the first time is the person who has the name here already.
    pub link_identities: bool,
}

impl Mapping {
    /// The roles that the claims bring, each once, by name.
    pub(crate) fn roles(&self, claims: &Map<String, Value>) -> Vec<RoleName> {
        let mut roles: Vec<_> =
            self.roles.iter().filter(|rule| rule.applies(claims)).map(|rule| rule.role.clone()).collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn name(template: &str, claims: Value) -> Option<String> {
        let template = NameTemplate::try_from(template).expect("a valid template");
        template.name(claims.as_object().expect("an object")).map(|name| name.to_string())
    }

    #[test]
    fn a_name_is_made_of_texts_and_claims() {
        assert_eq!(name("{sub}", json!({"sub": "a1"})).as_deref(), Some("a1"));
        assert_eq!(name("corp:{sub}@{org.id}", json!({"sub": "a1", "org": {"id": "x"}})).as_deref(), Some("corp:a1@x"));
        assert_eq!(name("{org.id}", json!({"org.id": "whole", "org": {"id": "x"}})).as_deref(), Some("whole"));
        for claims in [json!({}), json!({"sub": 7}), json!({"sub": ""}), json!({"sub": "a b"}), json!({"sub": ["a"]})] {
            assert_eq!(name("{sub}", claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn an_address_that_is_not_verified_names_nobody() {
        assert_eq!(name("{email}", json!({"email": "a@b", "email_verified": true})).as_deref(), Some("a@b"));
        for verified in [json!(false), json!("true"), json!(null), json!(1)] {
            assert_eq!(name("{email}", json!({"email": "a@b", "email_verified": verified})), None);
        }
        assert_eq!(name("{email}", json!({"email": "a@b"})), None);
        let inside = |verified: Value| json!({"user": {"email": "a@b", "email_verified": verified}});
        assert_eq!(name("{user.email}", inside(json!(true))).as_deref(), Some("a@b"));
        assert_eq!(name("{user.email}", inside(json!(false))), None);
        let elsewhere = json!({"email_verified": true, "user": {"email": "a@b"}});
        assert_eq!(name("{user.email}", elsewhere), None, "what is verified is another address");
    }

    #[test]
    fn an_address_that_is_not_verified_brings_no_role() {
        let applies = |claim: &str, claims: Value| {
            let (claim, role) = (ClaimName::try_from(claim), RoleName::try_from("member").expect("valid"));
            let rule = RoleRule { claim: claim.expect("valid"), value: "a@b".into(), role };
            rule.applies(claims.as_object().expect("an object"))
        };
        assert!(applies("email", json!({"email": "a@b", "email_verified": true})));
        assert!(applies("user.email", json!({"user": {"email": "a@b", "email_verified": true}})));
        for claims in [json!({"email": "a@b"}), json!({"email": "a@b", "email_verified": "true"})] {
            assert!(!applies("email", claims.clone()), "{claims}");
        }
        assert!(!applies("user.email", json!({"email_verified": true, "user": {"email": "a@b"}})));
        assert!(!applies("user.email", json!({"email_verified": true, "user.email": "a@b"})));
    }

    #[test]
    fn a_template_without_a_claim_or_with_a_loose_brace_is_refused() {
        for bad in
            ["", "alice", "{", "}", "{sub", "sub}", "{}", "{a}}", "{{a}}", "a b{sub}", "é{sub}", &"a".repeat(129)]
        {
            assert!(NameTemplate::try_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_comes_with_a_text_or_a_list_that_has_its_value() {
        let rule = |value: &str| RoleRule {
            claim: ClaimName::try_from("groups").expect("valid"),
            value: value.into(),
            role: RoleName::try_from("member").expect("valid"),
        };
        let applies = |claims: Value| rule("staff").applies(claims.as_object().expect("an object"));
        assert!(applies(json!({"groups": ["x", "staff"]})) && applies(json!({"groups": "staff"})));
        for claims in
            [json!({}), json!({"groups": ["Staff"]}), json!({"groups": "staff x"}), json!({"groups": {"staff": 1}})]
        {
            assert!(!applies(claims.clone()), "{claims}");
        }
    }
}
