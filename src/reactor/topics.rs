//! The open sockets of a server, and the topics that they subscribe to.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::link::{Link, Outgoing};
use super::outbox::ReadyState;
use super::publication::Publication;
use super::settings::{Settings, SlowSubscribers};
use crate::defects::contain;
use crate::error::{Error, Result};
use crate::proto::{CloseFrame, close};

/// Of one server.
pub struct Topics {
    settings: Arc<Settings>,
    table: Mutex<Table>,
}

/// The longest name of a topic, in bytes.
pub const MAX_TOPIC: usize = 255;
/// How many topics a socket can subscribe to, so that a peer which chooses them takes bounded
/// memory.
pub const MAX_TOPICS: usize = 1024;

#[derive(Default)]
struct Table {
    everyone: Group,
    groups: HashMap<Arc<str>, Group>,
    /// What each socket subscribes to, if anything.
    topics: HashMap<Address, Vec<Arc<str>>>,
}

/// Sockets, in no order. A publisher holds on to the list as it was, so that the table is not
/// locked meanwhile.
#[derive(Default)]
struct Group {
    links: Arc<Vec<Arc<Link>>>,
    /// Where in the list each one is.
    places: HashMap<Address, usize>,
}

/// What tells sockets apart while they exist.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Address(usize);

impl Topics {
    /// Of a server whose sockets have these settings.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            table: Mutex::default(),
        }
    }

    /// Sends a message to the subscribers of a topic, or to every open socket. Returns how many
    /// took it.
    pub fn publish(&self, topic: Option<&str>, message: Outgoing<'_>) -> Result<usize> {
        let (len, max) = (message.payload.len() as u64, self.settings.max_buffered);
        if len > max {
            let sentence = format!("message of {len} bytes never fits in max_buffered of {max}");
            return Err(Error::Argument(sentence.into()));
        }
        let links = self.links(topic)?;
        if links.is_empty() {
            return Ok(0);
        }
        let mut publication = Publication::new(message, &self.settings)?;
        let is_alone = links.len() == 1;
        let mut taken = 0;
        for link in &*links {
            // What happens to one is no matter of the others.
            let result =
                contain(|| link.guarded(|link| link.take_published(&mut publication, is_alone)));
            match result.flatten() {
                Ok(()) => taken += 1,
                Err(Error::BufferFull(_)) => self.leave_behind(link),
                // It is closing, or there is no memory for it.
                Err(_) => {}
            }
        }
        Ok(taken)
    }

    /// A socket is about to be open.
    pub(super) fn join(&self, link: &Arc<Link>) {
        self.table.lock().everyone.insert(link);
    }

    /// A socket is closed.
    pub(super) fn leave(&self, link: &Arc<Link>) {
        let mut table = self.table.lock();
        table.everyone.remove(link);
        for topic in table.topics.remove(&Address::of(link)).unwrap_or_default() {
            table.remove(link, &topic);
        }
        shrink(&mut table.topics);
    }

    pub(super) fn subscribe(&self, link: &Arc<Link>, topic: &str) -> Result<()> {
        check_topic(topic)?;
        let state = link.ready_state();
        if state == ReadyState::Connecting {
            return Err(Error::State("the socket is not open yet".into()));
        }
        let mut table = self.table.lock();
        if state != ReadyState::Open || !table.everyone.has(link) {
            return Err(Error::Closed("the socket is closing or closed".into()));
        }
        let topic = match table.groups.get_key_value(topic) {
            Some((_, group)) if group.has(link) => return Ok(()),
            Some((known, _)) => Arc::clone(known),
            None => topic.into(),
        };
        let topics = table.topics.entry(Address::of(link)).or_default();
        if topics.len() == MAX_TOPICS {
            let sentence = format!("the socket subscribes to {MAX_TOPICS} topics already");
            return Err(Error::State(sentence.into()));
        }
        topics.push(Arc::clone(&topic));
        table.groups.entry(topic).or_default().insert(link);
        Ok(())
    }

    pub(super) fn unsubscribe(&self, link: &Arc<Link>, topic: &str) -> Result<()> {
        check_topic(topic)?;
        let mut table = self.table.lock();
        if let Some(topics) = table.topics.get_mut(&Address::of(link))
            && let Some(at) = topics.iter().position(|it| **it == *topic)
        {
            topics.swap_remove(at);
            if topics.is_empty() {
                table.topics.remove(&Address::of(link));
            }
            table.remove(link, topic);
        }
        Ok(())
    }

    fn links(&self, topic: Option<&str>) -> Result<Arc<Vec<Arc<Link>>>> {
        topic.map_or(Ok(()), check_topic)?;
        let table = self.table.lock();
        let group = match topic {
            None => Some(&table.everyone),
            Some(topic) => table.groups.get(topic),
        };
        Ok(group.map_or_else(Arc::default, |it| Arc::clone(&it.links)))
    }

    /// A socket has no room for a message.
    fn leave_behind(&self, link: &Arc<Link>) {
        match self.settings.slow_subscribers {
            SlowSubscribers::Skip => {}
            SlowSubscribers::Close => {
                log::debug!("a subscriber is closed, since it is too slow");
                let frame = CloseFrame {
                    code: Some(close::POLICY_VIOLATION),
                    reason: "too slow".into(),
                };
                if link.close(&frame).is_err() {
                    link.abort();
                }
            }
        }
    }
}

impl Table {
    fn remove(&mut self, link: &Arc<Link>, topic: &str) {
        if let Some(group) = self.groups.get_mut(topic) {
            group.remove(link);
            if group.links.is_empty() {
                self.groups.remove(topic);
                shrink(&mut self.groups);
            }
        }
    }
}

impl Group {
    fn has(&self, link: &Arc<Link>) -> bool {
        self.places.contains_key(&Address::of(link))
    }

    fn insert(&mut self, link: &Arc<Link>) {
        let links = Arc::make_mut(&mut self.links);
        self.places.insert(Address::of(link), links.len());
        links.push(Arc::clone(link));
    }

    fn remove(&mut self, link: &Arc<Link>) {
        let Some(place) = self.places.remove(&Address::of(link)) else {
            return;
        };
        let links = Arc::make_mut(&mut self.links);
        links.swap_remove(place);
        if let Some(moved) = links.get(place) {
            self.places.insert(Address::of(moved), place);
        }
        if links.capacity() > ROOMY && links.len() < links.capacity() / 4 {
            links.shrink_to(links.len() * 2);
        }
        shrink(&mut self.places);
    }
}

impl Address {
    fn of(link: &Arc<Link>) -> Self {
        Self(Arc::as_ptr(link).addr())
    }
}

/// What holds so few keeps its memory.
const ROOMY: usize = 64;

/// Gives memory back that was needed for many more.
fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > ROOMY && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

fn check_topic(topic: &str) -> Result<()> {
    let len = topic.len();
    if (1..=MAX_TOPIC).contains(&len) {
        return Ok(());
    }
    let sentence = format!("a topic of {len} bytes does not have 1 to {MAX_TOPIC}");
    Err(Error::Argument(sentence.into()))
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::reactor::Worker;
    use crate::reactor::command::Mailbox;

    struct Server {
        topics: Arc<Topics>,
        mailbox: Arc<Mailbox>,
    }

    impl Server {
        fn new() -> Self {
            Self {
                topics: Arc::new(Topics::new(Arc::default())),
                mailbox: Worker::prepare(None).unwrap().1,
            }
        }

        /// A socket that is open.
        fn link(&self) -> Arc<Link> {
            let (topics, mailbox) = (Arc::clone(&self.topics), Arc::clone(&self.mailbox));
            let link = Arc::new(Link::accepted(topics, Arc::default(), mailbox));
            assert!(link.established());
            link
        }

        fn subscribers(&self, topic: &str) -> usize {
            self.topics.links(Some(topic)).unwrap().len()
        }

        fn is_empty(&self) -> bool {
            let table = self.topics.table.lock();
            table.everyone.links.is_empty()
                && table.everyone.places.is_empty()
                && table.groups.is_empty()
                && table.topics.is_empty()
        }
    }

    #[test]
    fn a_socket_is_in_a_topic_once_until_it_leaves() {
        let server = Server::new();
        let links = [server.link(), server.link(), server.link()];
        for link in links.iter().chain(&links) {
            link.subscribe("a").unwrap();
        }
        links[0].subscribe("b").unwrap();
        assert_eq!((server.subscribers("a"), server.subscribers("b")), (3, 1));
        links[0].unsubscribe("a").unwrap();
        links[0].unsubscribe("a").unwrap();
        links[1].unsubscribe("never").unwrap();
        assert_eq!((server.subscribers("a"), server.subscribers("b")), (2, 1));
        let last = server.topics.links(Some("a")).unwrap();
        assert!(!last.iter().any(|it| Arc::ptr_eq(it, &links[0])));
        drop(last);
        for link in &links {
            link.closed();
            assert!(matches!(link.subscribe("a"), Err(Error::Closed(_))));
            assert_eq!(link.unsubscribe("a"), Ok(()));
        }
        assert!(server.is_empty());
        assert_eq!(links.map(|it| Arc::strong_count(&it)), [1, 1, 1]);
    }

    #[test]
    fn thousands_that_come_and_go_leave_nothing_behind() {
        let server = Server::new();
        let mut links: Vec<_> = (0..3000).map(|_| server.link()).collect();
        for (n, link) in links.iter().enumerate() {
            for topic in [n % 7, n / 10, n] {
                link.subscribe(&format!("topic {topic}")).unwrap();
            }
        }
        assert_eq!(server.subscribers("topic 2999"), 1);
        // Those that stay are told apart from those that go, whichever they are.
        for n in 0..links.len() {
            let link = links.swap_remove((n * 7919) % links.len());
            link.closed();
            assert_eq!(Arc::strong_count(&link), 1);
            let everyone = server.topics.links(None).unwrap();
            assert_eq!(everyone.len(), links.len());
            if n % 500 == 0 {
                let is_known = |it| everyone.iter().any(|known| Arc::ptr_eq(known, it));
                assert!(links.iter().all(is_known));
            }
        }
        assert!(server.is_empty());
        let table = server.topics.table.lock();
        assert!(table.groups.capacity() < 10 * ROOMY);
        assert!(table.topics.capacity() < 10 * ROOMY);
        assert!(table.everyone.links.capacity() < 10 * ROOMY);
    }

    #[test]
    fn a_socket_has_a_bounded_number_of_topics_of_bounded_length() {
        let server = Server::new();
        let link = server.link();
        for n in 0..MAX_TOPICS {
            link.subscribe(&n.to_string()).unwrap();
        }
        assert!(matches!(link.subscribe("one more"), Err(Error::State(_))));
        assert_eq!(link.subscribe("7"), Ok(()));
        link.unsubscribe("7").unwrap();
        link.subscribe(&"x".repeat(MAX_TOPIC)).unwrap();
        for topic in ["", &"x".repeat(MAX_TOPIC + 1)] {
            assert!(matches!(link.subscribe(topic), Err(Error::Argument(_))));
            assert!(matches!(link.unsubscribe(topic), Err(Error::Argument(_))));
            assert!(server.topics.links(Some(topic)).is_err());
        }
        link.closed();
        assert!(server.is_empty());
    }

    #[test]
    fn a_socket_that_is_not_open_cannot_subscribe() {
        let server = Server::new();
        let (topics, mailbox) = (Arc::clone(&server.topics), Arc::clone(&server.mailbox));
        let link = Arc::new(Link::accepted(topics, Arc::default(), mailbox));
        assert!(matches!(link.subscribe("a"), Err(Error::State(_))));
        assert!(link.established());
        link.abort();
        assert!(matches!(link.subscribe("a"), Err(Error::Closed(_))));
        assert_eq!(server.topics.links(None).unwrap().len(), 1);
        link.closed();
        assert!(server.is_empty());
    }
}
