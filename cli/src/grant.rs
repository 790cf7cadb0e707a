//! Grants as they are typed: `subscribe=room:*`.

use portcullis_proto::auth::v1::{Action, Grant};

use crate::words;

const ACTIONS: [(&str, Action); 5] = [
    ("subscribe", Action::Subscribe),
    ("publish", Action::Publish),
    ("presence", Action::Presence),
    ("history", Action::History),
    ("call", Action::Call),
];

/// Reads `action=pattern`. A pattern is a name, or a beginning with one `*` at its end.
pub(crate) fn parse(text: &str) -> Result<Grant, String> {
    let (action, pattern) =
        text.split_once('=').ok_or_else(|| "expected action=pattern, such as subscribe=room:*".to_owned())?;
    let action = ACTIONS
        .iter()
        .find_map(|(word, value)| (*word == action).then_some(*value))
        .ok_or_else(|| "the action is one of subscribe, publish, presence, history, call".to_owned())?;
    let visible = !pattern.is_empty() && pattern.len() <= 255 && pattern.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible {
        return Err("a pattern is 1 to 255 visible ASCII characters".to_owned());
    }
    if pattern[..pattern.len() - 1].contains('*') {
        return Err("a * may stand only at the end of a pattern".to_owned());
    }
    Ok(Grant { action: action.into(), pattern: pattern.to_owned() })
}

/// As it is typed.
pub(crate) fn in_words(grant: &Grant) -> String {
    format!("{}={}", words::action(grant.action), grant.pattern)
}

/// Several, separated by spaces.
pub(crate) fn all_in_words(grants: &[Grant]) -> String {
    let texts: Vec<String> = grants.iter().map(in_words).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_reads_back_as_it_was_typed() {
        for text in ["subscribe=room:*", "publish=room:1", "call=*", "history=a=b"] {
            assert_eq!(parse(text).map(|grant| in_words(&grant)), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_grant_says_what_one_looks_like() {
        for (text, part) in [
            ("room:*", "action=pattern"),
            ("read=room", "one of subscribe"),
            ("Subscribe=room", "one of subscribe"),
            ("publish=", "1 to 255"),
            ("publish=a b", "visible"),
            ("publish=a*b", "only at the end"),
            ("publish=**", "only at the end"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
