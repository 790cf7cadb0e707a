//! What an identity may do, compiled for asking often.
//!
//! Owns: the list of (action, pattern) that a verdict carries. A pattern is a channel's exact name, or ends in `*`,
//! which stands for any rest.
//! Refuses: to let a pattern reach a channel that begins with `@` (personal) or `$` (kept for later): who may use those
//! is a rule of the session, never a grant.

use std::fmt;

use portcullis_types::ChannelName;

/// What can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Follow a channel.
    Subscribe,
    /// Say something in a channel.
    Publish,
    /// See who follows a channel.
    Presence,
    /// Read what was said in a channel.
    History,
    /// Call a method.
    Call,
}

/// Not a pattern of grants: empty, longer than a channel's name may be, not visible ASCII, or with a `*` before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern: 1 to 255 visible ASCII characters, of which only the last may be '*'")]
pub struct InvalidPattern;

/// A set of grants. Shared by all sockets of one verdict (`Arc<Grants>`).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants {
    exact: Box<[(Action, Box<str>)]>,
    prefixes: Box<[(Action, Box<str>)]>,
}

impl Grants {
    /// Nothing is allowed.
    pub fn none() -> Self {
        Self::default()
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        [&self.exact, &self.prefixes].into_iter().flatten().map(|(_, pattern)| pattern.len() + 24).sum()
    }

    /// From a verdict's list; its order and repetitions mean nothing.
    pub fn compile<'a>(list: impl IntoIterator<Item = (Action, &'a str)>) -> Result<Self, InvalidPattern> {
        let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
        for (action, pattern) in list {
            ChannelName::try_from(pattern).map_err(|_| InvalidPattern)?;
            let prefix = pattern.strip_suffix('*');
            if prefix.unwrap_or(pattern).contains('*') {
                return Err(InvalidPattern);
            }
            match prefix {
                Some(prefix) => prefixes.push((action, Box::from(prefix))),
                None => exact.push((action, Box::from(pattern))),
            }
        }
        for list in [&mut exact, &mut prefixes] {
            list.sort_unstable();
            list.dedup();
        }
        Ok(Self { exact: exact.into(), prefixes: prefixes.into() })
    }

    /// Whether `action` on `channel` is granted.
    pub fn allows(&self, action: Action, channel: &ChannelName) -> bool {
        let name = channel.as_str();
        if name.starts_with(['@', '$']) {
            return false;
        }
        self.exact.binary_search_by(|(a, n)| (a, &**n).cmp(&(&action, name))).is_ok()
            || self.prefixes.iter().any(|(a, prefix)| *a == action && name.starts_with(&**prefix))
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact.iter().map(|(action, name)| (action, name.to_string()));
        let prefixes = self.prefixes.iter().map(|(action, prefix)| (action, format!("{prefix}*")));
        f.debug_list().entries(exact.chain(prefixes)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::try_from(name).expect("a valid name")
    }

    fn grants(list: &[(Action, &str)]) -> Grants {
        Grants::compile(list.iter().copied()).expect("valid patterns")
    }

    #[test]
    fn a_grant_is_of_one_action_on_one_name() {
        let grants = grants(&[(Action::Subscribe, "news"), (Action::Publish, "chat")]);
        assert!(grants.allows(Action::Subscribe, &channel("news")));
        assert!(!grants.allows(Action::Publish, &channel("news")));
        assert!(!grants.allows(Action::Subscribe, &channel("chat")));
        assert!(!grants.allows(Action::Subscribe, &channel("new")));
        assert!(!grants.allows(Action::Subscribe, &channel("news2")));
        assert!(!Grants::none().allows(Action::Subscribe, &channel("news")));
    }

    #[test]
    fn a_star_stands_for_any_rest_and_a_channel_named_star_is_no_pattern() {
        let prefixed = grants(&[(Action::Subscribe, "public:*")]);
        assert!(prefixed.allows(Action::Subscribe, &channel("public:a")));
        assert!(prefixed.allows(Action::Subscribe, &channel("public:")));
        assert!(!prefixed.allows(Action::Subscribe, &channel("public")));
        assert!(!grants(&[(Action::Subscribe, "a")]).allows(Action::Subscribe, &channel("*")));
    }

    #[test]
    fn no_pattern_reaches_personal_or_reserved_channels() {
        let all = grants(&[(Action::Subscribe, "*"), (Action::Subscribe, "@*"), (Action::Subscribe, "$x")]);
        assert!(all.allows(Action::Subscribe, &channel("anything")));
        for name in ["@0192f0c1-2345-7abc-8def-0123456789ab", "@", "$x", "$"] {
            assert!(!all.allows(Action::Subscribe, &channel(name)), "{name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "a*b", "**", "a b", "ä", &"x".repeat(256)] {
            assert_eq!(Grants::compile([(Action::Subscribe, bad)]), Err(InvalidPattern), "{bad:?}");
        }
    }
}
