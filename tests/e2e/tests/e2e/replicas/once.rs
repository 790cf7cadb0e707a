//! What may be used once, used many times at once over three replicas.

use std::collections::BTreeSet;

use portcullis_proto::auth::v1;
use sqlx::{Connection as _, PgConnection};
use test_harness::{Api, Authority, Closed, Database, Gateway, Site, Socket, eventually, remember, within};
use tokio::task::JoinSet;

use super::{LONG, gateway_at, open};

/// Whoever waits for a row here waits for the test, which may be slow.
const PATIENT: &str = "patience_ms = 60000\ncommit_patience_ms = 60000";

/// A site with two more replicas, its API at each, and the database that they share.
struct Replicas {
    site: Site,
    others: [Authority; 2],
    apis: [Api; 3],
    url: String,
    _database: Database,
}

impl Replicas {
    async fn start() -> Self {
        let url = test_postgres::database();
        let database = Database::at(&url);
        let site = Site::start_with(&(database.toml_with(PATIENT) + LONG)).await;
        let others = [site.start_replica("authority-2").await, site.start_replica("authority-3").await];
        let apis = [site.backend.clone(), site.backend_at(&others[0]).await, site.backend_at(&others[1]).await];
        Self { site, others, apis, url, _database: database }
    }

    /// Holds the refresh tokens, so that whoever would spend one has read it unspent and waits.
    async fn hold(&self) -> Held {
        let mut holder = PgConnection::connect(&self.url).await.expect("the database answers");
        sqlx::raw_sql("BEGIN").execute(&mut holder).await.expect("begins");
        let held = "SELECT 1 FROM credentials WHERE kind = 'refresh_token' FOR NO KEY UPDATE";
        assert!(!sqlx::query(held).fetch_all(&mut holder).await.expect("nobody else does").is_empty());
        Held(holder)
    }
}

/// Rows that nobody can write.
struct Held(PgConnection);

impl Held {
    /// Lets go, once several wait.
    async fn until_several_wait(mut self) {
        const WAITING: &str = "SELECT count(*) >= 3 FROM pg_stat_activity
                               WHERE datname = current_database() AND wait_event_type = 'Lock'";
        loop {
            // Who is connected is read once in a transaction, if it is not forgotten.
            sqlx::raw_sql("SELECT pg_stat_clear_snapshot()").execute(&mut self.0).await.expect("it is forgotten");
            let several: bool = sqlx::query_scalar(WAITING).fetch_one(&mut self.0).await.expect("it is counted");
            if several {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.0.close().await.expect("lets go");
    }
}

/// The next pair, or why there is none.
async fn refresh(api: &Api, token: &str) -> Result<v1::TokenPair, v1::DenyReason> {
    let request = v1::RefreshTokensRequest { refresh_token: token.to_owned() };
    let answer = api.credentials().refresh_tokens(request).await.expect("an answer").into_inner();
    match answer.outcome.expect("one of both") {
        v1::refresh_tokens_response::Outcome::Tokens(pair) => {
            remember("an access token", &pair.access_token);
            remember("a refresh token", &pair.refresh_token);
            Ok(pair)
        }
        v1::refresh_tokens_response::Outcome::Denied(reason) => {
            Err(v1::DenyReason::try_from(reason).expect("a reason"))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_uses_of_one_refresh_token_on_three_replicas_leave_one_live_branch() {
    const USES: usize = 100;
    let replicas = Replicas::start().await;
    let (site, apis) = (&replicas.site, &replicas.apis);
    let alice = site.log_in("alice").await;
    let held = replicas.hold().await;
    let mut uses = JoinSet::new();
    for n in 0..USES {
        let (api, token) = (apis[n % 3].clone(), alice.refresh_token.clone());
        uses.spawn(async move { refresh(&api, &token).await });
    }
    // Before any of them has spent it.
    within("several to wait", held.until_several_wait()).await;
    // A lost answer is given once more, and nobody is told of another successor.
    let mut successors = BTreeSet::new();
    for answer in uses.join_all().await {
        match answer {
            Ok(pair) => drop(successors.insert(pair.refresh_token)),
            Err(reason) => assert_eq!(reason, v1::DenyReason::Spent),
        }
    }
    assert_eq!(successors.len(), 1, "one live branch");
    let successor = successors.first().expect("not empty");
    let next = refresh(&apis[1], successor).await.expect("the one branch lives");
    assert_eq!(apis[2].verify(&next.access_token).await.outcome(), v1::Outcome::Allowed);
}

#[tokio::test]
async fn a_stolen_refresh_token_kills_its_family_for_every_replica_and_the_kill_is_in_the_log() {
    let replicas = Replicas::start().await;
    let (site, apis) = (&replicas.site, &replicas.apis);
    let alice = site.log_in("alice").await;
    let mut of_alice = open(&site.gateways[0], &alice.access_token).await;
    let second = refresh(&apis[0], &alice.refresh_token).await.expect("it is good");
    let third = refresh(&apis[1], &second.refresh_token).await.expect("it is good");
    let before = site.admin.log().await.len();
    // Its successor was used: whoever presents the first one now has not lost an answer.
    assert_eq!(refresh(&apis[2], &alice.refresh_token).await, Err(v1::DenyReason::Spent));
    assert_eq!(site.admin.log().await.len(), before + 1, "the kill is committed");
    for api in apis {
        assert!(refresh(api, &third.refresh_token).await.is_err(), "the newest branch lives");
        assert_ne!(api.verify(&third.access_token).await.outcome(), v1::Outcome::Allowed);
    }
    assert_eq!(of_alice.closed().await, Closed { code: 4511, reason: "session revoked".to_owned() });
    assert_eq!(site.admin.log().await.len(), before + 1, "what is dead is not killed again");
}

/// The socket, if the ticket let it in.
async fn redeem(gateway: &Gateway, ticket: &str) -> Option<Socket> {
    let mut socket = gateway.open().await;
    let connected = socket.try_connect(Some(ticket)).await.ok()?;
    connected.is_authenticated().then_some(socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_ticket_of_fifty_clients_on_three_replicas_admits_one_socket() {
    const CLIENTS: usize = 50;
    let replicas = Replicas::start().await;
    let (site, others) = (&replicas.site, &replicas.others);
    let gateways = [
        gateway_at(site, &site.authority, "gateway-3").await,
        gateway_at(site, &others[0], "gateway-4").await,
        gateway_at(site, &others[1], "gateway-5").await,
    ];
    let alice = site.log_in("alice").await;
    let ticket = site.edge().ticket(&alice.access_token).await;
    let clients = (0..CLIENTS).map(|n| redeem(&gateways[n % 3], &ticket));
    let admitted: Vec<_> = futures_util::future::join_all(clients).await.into_iter().flatten().collect();
    assert_eq!(admitted.len(), 1, "of {CLIENTS}");
    eventually("the gateways to count it", || async {
        let mut sockets = 0.0;
        for gateway in &gateways {
            sockets += gateway.metric("portcullis_gateway_sockets", "authenticated").await;
        }
        (sockets == 1.0).then_some(())
    })
    .await;
}
