//! What is run, in its order: arguments, what is given besides, the exit code, and what the answer says.
//!
//! `{name}` stands for what an earlier row kept under that name.

/// One call.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) arguments: &'static str,
    /// Whose key, by the name it is kept under.
    pub(super) by: &'static str,
    pub(super) input: &'static str,
    /// Secrets of the environment; `code of NAME` is that of an app with the secret of this name.
    pub(super) variables: Vec<(&'static str, &'static str)>,
    pub(super) code: i32,
    /// Where in the first document, and what is there.
    pub(super) says: Vec<(&'static str, &'static str)>,
    pub(super) keeps: Vec<(&'static str, &'static str)>,
}

fn row(arguments: &'static str) -> Row {
    let (variables, says, keeps) = (Vec::new(), Vec::new(), Vec::new());
    Row { arguments, by: "admin", input: "", variables, code: 0, says, keeps }
}

impl Row {
    fn says(mut self, pointer: &'static str, what: &'static str) -> Self {
        self.says.push((pointer, what));
        self
    }

    fn keeps(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.keeps.push((name, pointer));
        self
    }

    fn given(mut self, variable: &'static str, secret: &'static str) -> Self {
        self.variables.push((variable, secret));
        self
    }

    fn input(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    fn by(self, by: &'static str) -> Self {
        Self { by, ..self }
    }

    fn refused(self, reason: &'static str) -> Self {
        Self { code: 1, ..self }.says("/error/reason", reason)
    }

    fn wrong_usage(self) -> Self {
        Self { code: 2, ..self }
    }

    fn denied(self) -> Self {
        Self { code: 1, ..self }
    }
}

/// All of them.
pub(super) fn rows() -> Vec<Row> {
    let to_keys = [tenants(), identities(), roles(), passwords(), apps(), tokens(), keys_of_programs()];
    let from_keys = [keys_of_clients(), issuers(), lists(), ends()];
    to_keys.into_iter().chain(from_keys).flatten().collect()
}

fn tenants() -> Vec<Row> {
    vec![
        row("tenant create demo --lease-class strict").says("/tenant/name", "demo").says("/tenant/state", "active"),
        row("tenant create demo").refused("TENANT_EXISTS"),
        row("tenant create Demo").refused("FIELD_INVALID"),
        row("tenant show demo").says("/tenant/lease_class", "strict").keeps("etag", "/tenant/etag"),
        row("tenant show nowhere").refused("TENANT_NOT_FOUND"),
        row("tenant update demo --display-name Demonstration --etag {etag}")
            .says("/tenant/display_name", "Demonstration"),
        row("tenant update demo --display-name Another --etag {etag}").refused("ETAG_STALE"),
        row("tenant update demo --display-name=").says("/tenant/display_name", ""),
        row("tenant create named --display-name Named").says("/tenant/display_name", "Named"),
        row("tenant lease-class demo standard").says("/tenant/lease_class", "standard"),
        row("tenant lease-class demo eternal").wrong_usage(),
        row("tenant list").says("/tenants/0/name", "acme").says("/tenants/1/name", "demo"),
        row("tenant suspend demo").says("/tenant/state", "suspended"),
        row("tenant reinstate demo").says("/tenant/state", "active"),
        row("tenant create closed").says("/tenant/name", "closed").keeps("etag", "/tenant/etag"),
        row("tenant delete closed").refused("TENANT_NOT_SUSPENDED"),
        row("tenant suspend closed").says("/tenant/state", "suspended"),
        row("tenant delete closed --etag {etag}").refused("ETAG_STALE"),
        row("tenant delete closed").says("/tenant/state", "deleted").says("/tenant/name", "closed"),
        row("tenant show closed").says("/tenant/state", "deleted"),
        row("tenant list --state deleted").says("/tenants/0/name", "closed"),
        row("tenant reinstate closed").refused("TENANT_NOT_FOUND"),
        row("tenant create closed").refused("TENANT_EXISTS"),
        row("identity list --tenant closed").refused("TENANT_NOT_FOUND"),
        row("guarantee").says("/bound_ms", "15000"),
    ]
}

fn identities() -> Vec<Row> {
    vec![
        row("identity create --tenant demo --name carol --password-stdin --attribute team=red")
            .input("carol's first password")
            .says("/identity/name", "carol")
            .says("/identity/attributes/team", "red")
            .keeps("carol", "/identity/id"),
        row("identity create --tenant demo --name carol --no-password").refused("IDENTITY_EXISTS"),
        row("identity create --tenant demo --name dave --password-stdin").input("short").refused("PASSWORD_INVALID"),
        row("identity create --tenant demo --name mailer --kind service").says("/identity/kind", "service"),
        row("identity show --tenant demo --identity {carol}")
            .says("/identity/name", "carol")
            .keeps("etag", "/identity/etag"),
        row("identity show --tenant demo --name nobody").refused("IDENTITY_NOT_FOUND"),
        row("identity show --tenant demo").wrong_usage(),
        row("identity update --tenant demo --name carol --display-name Carol --etag {etag}")
            .says("/identity/display_name", "Carol"),
        row("identity update --tenant demo --name carol --no-attributes --etag {etag}").refused("ETAG_STALE"),
        row("identity update --tenant demo --name carol").wrong_usage(),
        row("identity update --tenant demo --name carol --rename mailer").refused("IDENTITY_EXISTS"),
        row("identity update --tenant demo --name carol --rename carol.c").says("/identity/name", "carol.c"),
        row("identity show --tenant demo --name carol").refused("IDENTITY_NOT_FOUND"),
        row("identity update --tenant demo --identity {carol} --rename carol").says("/identity/name", "carol"),
        row("identity list --tenant demo --kind user").says("/identities/0/name", "carol"),
        row("identity disable --tenant demo --name carol").says("/identity/state", "disabled"),
        row("identity enable --tenant demo --name carol").says("/identity/state", "active"),
        row("identity set-password --tenant demo --name carol --password-stdin --request-id set-1")
            .input("carol's second password")
            .keeps("revision", "/revision"),
        row("identity set-password --tenant demo --name carol --password-stdin --request-id set-1")
            .input("carol's second password")
            .says("/revision", "{revision}"),
        row("identity import --tenant demo --file users.jsonl").says("/done", "2").says("/refused", "0"),
        row("identity import --tenant demo --file nowhere.jsonl").wrong_usage(),
        row("identity create --tenant demo --name gone --no-password").says("/identity/state", "active"),
        row("identity delete --tenant demo --name gone").says("/identity/state", "deleted"),
    ]
}

fn roles() -> Vec<Row> {
    vec![
        row("role put --tenant demo --name member --grant subscribe=room:* --grant publish=room:*")
            .says("/role/name", "member")
            .says("/role/grants/0/pattern", "room:*"),
        row("role put --tenant demo --name member --grant fly=room:*").wrong_usage(),
        row("role list --tenant demo").keeps("etag", "/roles/0/etag"),
        row("role put --tenant demo --name member --grant publish=room:* --grant subscribe=room:* --etag {etag}")
            .says("/role/name", "member"),
        row("role put --tenant demo --name member --no-grants --etag {etag}").refused("ETAG_STALE"),
        row("role show --tenant demo --name member").says("/role/grants/1/action", "subscribe"),
        row("role list --tenant demo").says("/roles/0/name", "member"),
        row("identity set-roles --tenant demo --name carol --role member").says("/identity/roles/0", "member"),
        row("identity set-roles --tenant demo --name carol --role emperor").refused("ROLE_NOT_FOUND"),
        row("role put --tenant demo --name spare --no-grants").says("/role/grants", "[]"),
        row("role delete --tenant demo --name spare").keeps("revision", "/revision"),
        row("role show --tenant demo --name spare").refused("ROLE_NOT_FOUND"),
    ]
}

fn passwords() -> Vec<Row> {
    const NEW: &str = "PORTCULLIS_NEW_PASSWORD";
    vec![
        row("login --tenant demo --name carol --password-stdin")
            .input("carol's second password")
            .says("/identity/name", "carol")
            .keeps("session", "/session_id")
            .keeps("access", "/tokens/access_token")
            .keeps("refresh", "/tokens/refresh_token"),
        row("login --tenant demo --name carol --password-stdin")
            .input("not carol's password")
            .denied()
            .says("/denied", "true"),
        row("login --tenant demo --name carol --password-stdin --remember-device")
            .input("carol's second password")
            .keeps("device", "/device_token"),
        row("login --tenant demo --name carol --password-stdin")
            .input("carol's second password")
            .given("PORTCULLIS_DEVICE_TOKEN", "{device}")
            .says("/device_known", "true"),
        row("password change --tenant demo --name carol")
            .given("PORTCULLIS_PASSWORD", "carol's second password")
            .given(NEW, "carol's third password")
            .keeps("revision", "/revision"),
        row("password change --tenant demo --name carol")
            .given("PORTCULLIS_PASSWORD", "carol's second password")
            .given(NEW, "carol's other password")
            .denied()
            .says("/refused", "true"),
        row("password reset --tenant demo --name carol").keeps("reset", "/reset_token"),
        row("password show --tenant demo --name carol").says("/password/scheme", ""),
        row("password redeem").input("{reset}").given(NEW, "carol's fourth password").keeps("revision", "/revision"),
        row("password redeem").input("{reset}").given(NEW, "carol's fifth password").denied().says("/refused", "true"),
        row("password reset --tenant demo --name carol --temporary-stdin")
            .input("carol's temporary password")
            .says("/reset_token", ""),
        row("login --tenant demo --name carol --password-stdin")
            .input("carol's temporary password")
            .given(NEW, "carol's sixth password")
            .given("PORTCULLIS_DEVICE_TOKEN", "{device}")
            .says("/identity/name", "carol")
            .says("/device_known", "false"),
        row("password import --tenant demo --name carol")
            .input("$2b$05$abcdefghijklmnopqrstuuYf3UF6155LxpYFQdl1BWyXjq/zaWTCC")
            .keeps("revision", "/revision"),
        row("password import --tenant demo --name carol").input("$1$md5crypt").refused("HASH_UNFIT"),
        row("password show --tenant demo --name carol").says("/password/outdated", "true"),
        row("password list --tenant demo --limit 1").says("/truncated", "true"),
        row("identity create --tenant demo --name dora --no-password").says("/identity/state", "active"),
        row("password import --tenant demo --name dora")
            .input("$2b$05$abcdefghijklmnopqrstuuYf3UF6155LxpYFQdl1BWyXjq/zaWTCC")
            .keeps("revision", "/revision"),
        row("password remove --tenant demo --name dora").keeps("revision", "/revision"),
        row("password remove --tenant demo --name dora").refused("TARGET_NOT_FOUND"),
        row("login --tenant demo --name carol --password-stdin")
            .input("imported horse battery")
            .says("/identity/name", "carol"),
    ]
}

fn apps() -> Vec<Row> {
    const FACTOR: &str = "PORTCULLIS_SECOND_FACTOR";
    vec![
        row("totp enrol --tenant demo --name carol").keeps("app", "/secret"),
        row("totp show --tenant demo --name carol").says("/totp_unconfirmed", "true"),
        row("totp confirm --tenant demo --name carol")
            .given(FACTOR, "code of app")
            .keeps("recovery", "/recovery_codes/0"),
        row("login --tenant demo --name carol --password-stdin")
            .input("imported horse battery")
            .given(FACTOR, "{recovery}")
            .says("/identity/name", "carol"),
        row("login --tenant demo --name carol --password-stdin")
            .input("imported horse battery")
            .given(FACTOR, "{recovery}")
            .denied()
            .says("/denied", "true"),
        row("totp recovery-codes --tenant demo --name carol").keeps("recovery", "/recovery_codes/0"),
        row("totp remove --tenant demo --name carol").says("/removed", "true"),
        row("totp remove --tenant demo --name carol").refused("SECOND_FACTOR_NOT_FOUND"),
    ]
}

fn tokens() -> Vec<Row> {
    vec![
        row("token issue --tenant demo --name carol --device phone --client-id app")
            .keeps("session", "/session_id")
            .keeps("access", "/tokens/access_token")
            .keeps("refresh", "/tokens/refresh_token"),
        row("token refresh").input("{refresh}").keeps("access", "/tokens/access_token"),
        row("token refresh").input("rt_nonsense").denied(),
        row("verify").input("{access}").says("/outcome", "allowed").says("/allowed/principal/identity_id", "{carol}"),
        row("verify").input("nonsense of nobody").denied().says("/outcome", "denied_permanent"),
        row("explain").input("{access}").says("/form", "access_token").keeps("jti", "/claims/jti"),
        row("explain").input("nonsense of nobody").wrong_usage(),
        row("backup /tmp/copy.db").wrong_usage(),
        row("restore --replace /tmp/copy.db").wrong_usage(),
        row("ticket create --origin https://app.example").input("{access}").keeps("ticket", "/ticket"),
        row("verify").input("{ticket}").wrong_usage(),
        row("verify --spend-ticket --origin https://app.example").input("{ticket}").says("/outcome", "allowed"),
        row("verify --spend-ticket --origin https://app.example").input("{ticket}").denied(),
        row("session show --tenant demo {session}").says("/session/device", "phone"),
        row("session list --tenant demo --name carol --client app").says("/sessions/0/id", "{session}"),
        row("credential show --tenant demo {jti}").says("/credential/kind", "access_token"),
        row("credential list --tenant demo --name carol --session {session} --kind refresh-token")
            .says("/credentials/0/session_id", "{session}"),
    ]
}

fn keys_of_programs() -> Vec<Row> {
    const EDGE: &str = "spiffe://corp.example/edge/mailer";
    vec![
        row("api-key create --tenant demo --name mailer --scope verify,revoke,identity.read --label nightly")
            .says("/api_key/label", "nightly")
            .keeps("mailer", "/secret")
            .keeps("key", "/api_key/id"),
        row("api-key create --tenant demo --name carol --scope verify").refused("SCOPES_NEED_SERVICE"),
        row("tenant list").by("mailer").refused("SCOPE_MISSING"),
        row("verify").by("mailer").input("{access}").says("/outcome", "allowed"),
        row("token service --scope verify --expires-in 1m")
            .by("mailer")
            .says("/scopes/0", "verify")
            .keeps("service", "/token"),
        row("verify").by("service").input("{access}").says("/outcome", "allowed"),
        row("api-key get --tenant demo {key}").says("/api_key/revoked", "false"),
        row("api-key rotate --tenant demo {key} --at-once")
            .says("/old/revoked", "true")
            .says("/api_key/replaces", "{key}")
            .keeps("mailer", "/secret"),
        row("api-key rotate --tenant demo {key} --at-once").refused("API_KEY_NOT_GOOD"),
        row("api-key list --tenant demo --name mailer").says("/api_keys/0/replaces", "{key}"),
        row("api-key list --tenant demo --name mailer --limit 1").says("/truncated", "true"),
        row("api-key list --tenant demo --name mailer --limit 1 --active").says("/truncated", "false"),
        row("certificate register --tenant demo --name mailer --scope verify spiffe://corp.example/edge/mailer")
            .says("/certificate/certificate_name", EDGE)
            .keeps("certificate", "/certificate/id"),
        row("certificate get --tenant demo {certificate}").says("/certificate/revoked", "false"),
        row("certificate list --tenant demo --name mailer --active").says("/certificates/0/certificate_name", EDGE),
        row("revoke keys --tenant demo --name mailer --before 1h").says("/keys", "0"),
        row("revoke keys --tenant demo --name mailer --reason compromised")
            .says("/keys", "2")
            .keeps("revision", "/revision"),
        row("revoke keys --tenant system --name admin").refused("LAST_ADMINISTRATOR"),
        row("key list").says("/signing_keys/0/state", "signing").keeps("kid", "/signing_keys/0/id"),
        row("key rotate --instead-of {kid} --at-once").says("/signing_key/state", "signing"),
        row("key reencrypt").says("/count", "0"),
    ]
}

/// The files are beside it.
fn keys_of_clients() -> Vec<Row> {
    vec![
        row("signature-key register --tenant demo --name carol --session {session} --label laptop client.pem")
            .says("/signature_key/state", "active")
            .says("/signature_key/label", "laptop")
            .keeps("client", "/signature_key/id"),
        row("signature-key register --tenant demo --name carol client.pem").refused("SIGNATURE_KEY_KNOWN"),
        row("signature-key register --tenant demo --name carol nowhere.pem").wrong_usage(),
        row("verify").input("{access}").says("/allowed/signature_keys/0/id", "{client}"),
        row("credential list --tenant demo --name carol --kind signature-key").says("/credentials/0/id", "{client}"),
        row("signature-key get --tenant demo {client}").says("/signature_key/session_id", "{session}"),
        row("signature-key rotate --tenant demo --overlap 10m {client} next.pem")
            .says("/signature_key/replaces", "{client}")
            .keeps("next", "/signature_key/id"),
        row("signature-key rotate --tenant demo --overlap 10m {client} next.pem").refused("SIGNATURE_KEY_REPLACED"),
        row("signature-key revoke --tenant demo --reason compromised {next}").keeps("revision", "/revision"),
        row("verify").input("{access}").says("/allowed/signature_keys/0/id", "{client}"),
        row("signature-key list --tenant demo --name carol --limit 2").says("/truncated", "false"),
    ]
}

fn issuers() -> Vec<Row> {
    vec![
        row("issuer put --tenant demo --name corp --url https://id.example --audience demo-app --identity corp:{sub} --create --role groups=staff:member")
            .says("/issuer/name", "corp")
            .says("/issuer/role_rules/0/role", "member"),
        row("issuer put --tenant demo --name corp --url http://id.example --audience demo-app --identity corp:{sub} --create")
            .refused("ISSUER_REFUSED"),
        row("issuer list --tenant demo").says("/issuers/0/url", "https://id.example"),
        row("issuer subjects --tenant demo --issuer corp").says("/subjects", "[]"),
        row("issuer subjects --tenant demo").wrong_usage(),
        row("issuer unlink --tenant demo --issuer corp --name carol").refused("SUBJECT_NOT_LINKED"),
        row("issuer revoke --tenant demo --name corp --reason compromised").keeps("revision", "/revision"),
        row("issuer remove --tenant demo --name corp").keeps("revision", "/revision"),
        row("issuer remove --tenant demo --name corp").refused("ISSUER_NOT_FOUND"),
    ]
}

/// What was done above is seen.
fn lists() -> Vec<Row> {
    vec![
        row("audit list --tenant demo --action tenant.create").says("/entries/0/target", "tenant:demo"),
        row("audit list --tenant demo --outcome denied --limit 1").says("/entries/0/outcome", "denied"),
        row("audit verify").says("/findings", "[]"),
        row("audit export").says("/seal", "1"),
        row("log tail --from-start --no-follow").keeps("revision", "/revision"),
    ]
}

fn ends() -> Vec<Row> {
    vec![
        row("revoke credential --tenant demo {jti}").keeps("revision", "/revision"),
        row("receipt {revision} --wait=30s").says("/enforced", "true"),
        row("receipt 999999-0000000000000000").denied(),
        row("verify").input("{access}").denied().says("/outcome", "denied_permanent"),
        row("revoke session --tenant demo {session}").keeps("revision", "/revision"),
        row("revoke session --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab").refused("TARGET_NOT_FOUND"),
        row("revoke identity --tenant demo --name carol").keeps("revision", "/revision"),
        row("revoke sessions --tenant demo --name carol --device phone").says("/sessions", "0"),
        row("revoke client --tenant demo app --before 1h").keeps("revision", "/revision"),
        row("revoke client --tenant demo nobodys --before 1h").refused("TARGET_NOT_FOUND"),
        row("revoke client --tenant demo app --before 1h --pace 5").wrong_usage(),
        row("revoke tenant demo --before 1h").keeps("revision", "/revision"),
        row("revoke client --tenant demo app").keeps("revision", "/revision"),
        row("revoke tenant demo --reason compromised").keeps("revision", "/revision"),
        row("key revoke {kid} --reason compromised").keeps("revision", "/revision"),
        row("tenant list --timeout 200ms").by("nobody").wrong_usage(),
    ]
}
