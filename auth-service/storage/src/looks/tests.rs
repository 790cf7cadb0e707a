use auth_domain::Head;
use portcullis_types::Chain;
use tokio::sync::Semaphore;

use super::*;

/// What looks are for, each as it begins.
type Begun = mpsc::UnboundedReceiver<Vec<CredentialId>>;

/// Sees nothing, as soon as it may.
struct Blind {
    begun: mpsc::UnboundedSender<Vec<CredentialId>>,
    may: Arc<Semaphore>,
    look: fn(&[CredentialId]) -> Result<Seen, StoreError>,
}

impl Sight for Blind {
    async fn look(&mut self, credentials: &[CredentialId]) -> Result<Seen, StoreError> {
        self.begun.send(credentials.to_vec()).expect("it is read");
        self.may.acquire().await.expect("it is open").forget();
        (self.look)(credentials)
    }

    fn rest(&mut self) {
        self.begun.send(Vec::new()).expect("it is read");
    }
}

fn nothing(_: &[CredentialId]) -> Result<Seen, StoreError> {
    Ok((Head { seq: 7, chain: Chain::from_bytes([0; 16]) }, HashMap::new()))
}

fn start(look: fn(&[CredentialId]) -> Result<Seen, StoreError>) -> (Arc<Looks>, Begun, Arc<Semaphore>) {
    let (begun, looks) = mpsc::unbounded_channel();
    let may = Arc::new(Semaphore::new(0));
    let sight = || Blind { begun: begun.clone(), may: Arc::clone(&may), look };
    (Arc::new(Looks::start(sight)), looks, Arc::clone(&may))
}

/// All of one lane.
fn id(first: u8) -> CredentialId {
    let mut bytes = [0; 16];
    bytes[0] = first;
    CredentialId::from_bytes(bytes)
}

type Answered = tokio::task::JoinHandle<Result<Found, StoreError>>;

/// Asks for each, one after the other, and returns when all wait in the queue.
async fn ask(looks: &Arc<Looks>, ids: &[u8]) -> Vec<Answered> {
    let mut asking = Vec::new();
    for (waiting, &first) in ids.iter().enumerate() {
        let looks = Arc::clone(looks);
        let one = Arc::clone(&looks);
        asking.push(tokio::spawn(async move { one.find(id(first)).await }));
        while looks.of("looks").waiting <= waiting {
            tokio::task::yield_now().await;
        }
    }
    asking
}

/// A look that is under way until it may end.
async fn occupy(looks: &Arc<Looks>, begun: &mut Begun) -> Answered {
    let one = Arc::clone(looks);
    let first = tokio::spawn(async move { one.find(id(0)).await });
    assert_eq!(begun.recv().await, Some(vec![id(0)]));
    first
}

#[tokio::test]
async fn what_is_asked_during_a_look_is_looked_up_by_the_next_one_each_once() {
    let (looks, mut begun, may) = start(nothing);
    let first = occupy(&looks, &mut begun).await;
    let others = ask(&looks, &[2, 1, 2, 0]).await;
    assert_eq!(looks.of("looks").busy, 1);
    may.add_permits(2);
    assert_eq!(begun.recv().await, Some(vec![id(0), id(1), id(2)]), "the first has to be looked up anew");
    for asked in others.into_iter().chain([first]) {
        let (head, rows) = asked.await.expect("it does not panic").expect("an answer");
        assert_eq!((head.seq, rows), (7, None));
    }
    assert_eq!((looks.of("looks").busy, looks.of("looks").waiting), (0, 0));
}

#[tokio::test]
async fn one_look_is_for_so_many_and_the_others_come_next() {
    let (looks, mut begun, may) = start(nothing);
    let first = occupy(&looks, &mut begun).await;
    let ids: Vec<u8> = (0..20).collect();
    let others = ask(&looks, &ids).await;
    may.add_permits(3);
    let sizes = [begun.recv().await, begun.recv().await].map(|look| look.map(|ids| ids.len()));
    assert_eq!(sizes, [Some(MOST_AT_ONCE), Some(20 - MOST_AT_ONCE)]);
    for asked in others.into_iter().chain([first]) {
        assert!(asked.await.expect("it does not panic").is_ok());
    }
}

#[tokio::test]
async fn who_left_is_not_looked_up() {
    let (looks, mut begun, may) = start(nothing);
    let _first = occupy(&looks, &mut begun).await;
    let others = ask(&looks, &[1, 2]).await;
    others[0].abort();
    while !others[0].is_finished() {
        tokio::task::yield_now().await;
    }
    may.add_permits(2);
    assert_eq!(begun.recv().await, Some(vec![id(2)]));
}

#[tokio::test]
async fn a_look_that_fails_fails_for_all_whom_it_was_for_and_no_others() {
    let (looks, mut begun, may) = start(|ids| match ids {
        [one] if *one == id(0) => nothing(ids),
        [one, _] if *one == id(1) => Err(StoreError::Corrupt { what: "head" }),
        _ => Err(StoreError::Unavailable("gone".into())),
    });
    let first = occupy(&looks, &mut begun).await;
    let corrupt = ask(&looks, &[1, 2, 1]).await;
    may.add_permits(1);
    begun.recv().await;
    assert!(first.await.expect("it does not panic").is_ok());
    let gone = ask(&looks, &[3]).await;
    may.add_permits(2);
    for asked in corrupt {
        let error = asked.await.expect("it does not panic").expect_err("it failed");
        assert!(matches!(error, StoreError::Corrupt { what: "head" }), "{error:?}");
    }
    for asked in gone {
        let error = asked.await.expect("it does not panic").expect_err("it failed");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_look_that_panics_is_not_the_last() {
    let (looks, mut begun, may) =
        start(|ids| if ids == [id(0)] { panic!("as the test wants it") } else { nothing(ids) });
    let first = occupy(&looks, &mut begun).await;
    let next = ask(&looks, &[1]).await;
    may.add_permits(2);
    let error = first.await.expect("whoever asked does not panic").expect_err("nobody is left to answer");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    for asked in next {
        assert!(asked.await.expect("it does not panic").is_ok());
    }
    assert_eq!(looks.of("looks").busy, 0);
}

#[tokio::test]
async fn who_waits_when_it_stops_is_told() {
    let (looks, mut begun, _may) = start(nothing);
    let first = occupy(&looks, &mut begun).await;
    let next = ask(&looks, &[1]).await;
    looks.stop();
    for asked in next.into_iter().chain([first]) {
        assert!(matches!(asked.await.expect("it does not panic"), Err(StoreError::Unavailable(_))));
    }
    assert!(looks.find(id(1)).await.is_err());
}
