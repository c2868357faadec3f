//! Which chains were taken and are not back yet.

/// Chains on their way. Each has a ticket that no other ever has, so that one of before a reset is not taken for one of
/// after it.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Numbers of those on their way; zero where there is none.
    serials: Vec<u64>,
    free: Vec<u16>,
    last: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    place: u16,
    serial: u64,
}

impl InFlight {
    /// Lets one more go, if there are fewer than `limit`.
    pub fn admit(&mut self, limit: u16) -> Option<Ticket> {
        if self.count() >= usize::from(limit) {
            return None;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.serials.push(0);
            (self.serials.len() - 1) as u16
        });
        self.last += 1;
        self.serials[usize::from(place)] = self.last;
        Some(Ticket { place, serial: self.last })
    }
    /// Whether it is on its way.
    pub fn has(&self, ticket: Ticket) -> bool {
        self.serials.get(usize::from(ticket.place)) == Some(&ticket.serial)
    }
    /// It is back. Whether it was on its way.
    pub fn release(&mut self, ticket: Ticket) -> bool {
        let had = self.has(ticket);
        if had {
            self.serials[usize::from(ticket.place)] = 0;
            self.free.push(ticket.place);
        }
        had
    }
    /// How many are on their way.
    pub fn count(&self) -> usize {
        self.serials.len() - self.free.len()
    }
    /// None is awaited any more.
    pub fn clear(&mut self) {
        self.serials.clear();
        self.free.clear();
    }
}
