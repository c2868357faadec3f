//! Rules made ready for questions: the ports of a protocol are cut into stretches, and each has the rules that speak of it.
use std::collections::{BTreeSet, HashMap};

use super::{Direction, Groups, Peer, Rule, RuleProtocol};
use crate::wire::Tuple;

/// A rule's place in [`Ruling`].
pub type Ordinal = u32;

/// All rules with their counters.
#[derive(Debug, Default)]
pub struct Ruling {
    rules: Vec<Ruled>,
    /// Ordinals of each group's rules.
    groups: HashMap<String, Vec<Ordinal>>,
}

/// A rule with its counter.
#[derive(Debug)]
struct Ruled {
    group: String,
    rule: Rule,
    hits: u64,
}

impl Ruling {
    /// Of groups; rules that were there before keep their counters.
    pub fn new(groups: &Groups, before: &Self) -> Self {
        let counters: HashMap<(&str, u32), &Ruled> =
            before.rules.iter().map(|ruled| ((ruled.group.as_str(), ruled.rule.id), ruled)).collect();
        let mut ruling = Self::default();
        for (name, group) in &groups.groups {
            let mut ordinals = Vec::new();
            for rule in &group.rules {
                let before = counters.get(&(name.as_str(), rule.id)).filter(|before| before.rule == *rule);
                let hits = before.map_or(0, |ruled| ruled.hits);
                ordinals.push(ruling.rules.len() as Ordinal);
                ruling.rules.push(Ruled { group: name.clone(), rule: rule.clone(), hits });
            }
            ruling.groups.insert(name.clone(), ordinals);
        }
        ruling
    }
    /// A rule's group, the rule, and how many flows it has let in.
    pub fn get(&self, ordinal: Ordinal) -> Option<(&str, &Rule, u64)> {
        let ruled = self.rules.get(ordinal as usize)?;
        Some((&ruled.group, &ruled.rule, ruled.hits))
    }
    /// One more flow.
    pub fn hit(&mut self, ordinal: Ordinal) {
        if let Some(ruled) = self.rules.get_mut(ordinal as usize) {
            ruled.hits += 1;
        }
    }
    /// Group, number and counter of every rule.
    pub fn hits(&self) -> impl Iterator<Item = (&str, &Rule, u64)> {
        self.rules.iter().map(|ruled| (ruled.group.as_str(), &ruled.rule, ruled.hits))
    }
}

/// What a card's groups allow.
#[derive(Debug, Default)]
pub struct Compiled {
    ingress: Side,
    egress: Side,
}

/// What they allow in one direction: rules of one protocol, by its number, and those of any.
#[derive(Debug, Default)]
struct Side {
    protocols: HashMap<u8, Stretches>,
    any: Vec<Ordinal>,
}

/// Stretches of numbers of a tuple's destination port: where each begins, and its rules.
#[derive(Debug, Default)]
struct Stretches(Vec<(u16, Vec<Ordinal>)>);

impl Compiled {
    /// Of the groups of these names.
    pub fn new(names: &[String], ruling: &Ruling) -> Self {
        let side = |direction| {
            let ordinals = names.iter().filter_map(|name| ruling.groups.get(name)).flatten();
            let of_side = ordinals.filter_map(|ordinal| Some((*ordinal, ruling.get(*ordinal)?.1)));
            Side::new(of_side.filter(|(_, rule)| rule.direction == direction))
        };
        Self { ingress: side(Direction::Ingress), egress: side(Direction::Egress) }
    }
    /// The rule that allows a flow whose other end is in these groups; none if there is none.
    pub fn allows(
        &self,
        direction: Direction,
        tuple: &Tuple,
        peer_groups: &[String],
        ruling: &Ruling,
    ) -> Option<Ordinal> {
        let (side, peer) = match direction {
            Direction::Ingress => (&self.ingress, tuple.source),
            Direction::Egress => (&self.egress, tuple.destination),
        };
        let of_protocol =
            side.protocols.get(&tuple.protocol.0).map(|stretches| stretches.at(tuple.destination_port));
        let has = |ordinal: &&Ordinal| match ruling.get(**ordinal) {
            Some((_, Rule { peer: Peer::Group(name), .. }, _)) => peer_groups.contains(name),
            Some((_, rule, _)) => rule.peer.has(peer),
            None => false,
        };
        of_protocol.unwrap_or(&[]).iter().chain(&side.any).find(has).copied()
    }
}

impl Side {
    fn new<'a>(rules: impl Iterator<Item = (Ordinal, &'a Rule)>) -> Self {
        let mut side = Self::default();
        let mut by_protocol: HashMap<u8, Vec<(Ordinal, &Rule)>> = HashMap::new();
        for (ordinal, rule) in rules {
            match rule.protocol {
                RuleProtocol::Any => side.any.push(ordinal),
                RuleProtocol::One(protocol) => {
                    by_protocol.entry(protocol.0).or_default().push((ordinal, rule));
                }
            }
        }
        let stretched = by_protocol.into_iter().map(|(protocol, rules)| (protocol, Stretches::new(&rules)));
        side.protocols = stretched.collect();
        side
    }
}

impl Stretches {
    fn new(rules: &[(Ordinal, &Rule)]) -> Self {
        let mut starts = BTreeSet::from([0]);
        for (_, rule) in rules {
            let numbers = rule.numbers();
            starts.insert(*numbers.start());
            starts.extend(numbers.end().checked_add(1));
        }
        let stretch = |start: u16| {
            let mut ordinals = Vec::new();
            for (ordinal, rule) in rules.iter().filter(|(_, rule)| rule.numbers().contains(&start)) {
                ordinals.push(*ordinal);
                // Whatever follows is never asked.
                if rule.peer == Peer::Anybody {
                    break;
                }
            }
            (start, ordinals)
        };
        Self(starts.into_iter().map(stretch).collect())
    }
    fn at(&self, number: u16) -> &[Ordinal] {
        let behind = self.0.partition_point(|(start, _)| *start <= number);
        behind.checked_sub(1).and_then(|place| self.0.get(place)).map_or(&[], |(_, ordinals)| ordinals)
    }
}
