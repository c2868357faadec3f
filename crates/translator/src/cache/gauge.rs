//! How much room code may take, by what the whole process has in memory.
use platform::resident::Resident;

use crate::config::CodeRoom;

/// What the room for code does when a segment of it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may have another segment.
    Grow,
    /// It has what it has.
    Stay,
    /// It gives one back.
    Shrink,
}

/// What the process takes may grow by so much until somebody looks again.
const MARGIN: u64 = 1 << 19;

/// Looks what the process takes.
pub struct Gauge {
    room: CodeRoom,
    /// None if the host does not tell.
    resident: Option<Resident>,
}

impl Gauge {
    pub fn new(room: CodeRoom) -> Self {
        let resident = room.process.and_then(|_| Resident::open().ok());
        Self { room, resident }
    }

    /// With so many bytes in use, what about a segment of so many?
    pub fn turn(&self, used: usize, segment: usize) -> Turn {
        let resident = self.resident.as_ref().and_then(Resident::bytes);
        self.room.turn(used, segment, resident)
    }
}

impl CodeRoom {
    fn turn(&self, used: usize, segment: usize, resident: Option<u64>) -> Turn {
        let Some(most) = self.process else { return Turn::Grow };
        if used < self.least {
            return Turn::Grow;
        }
        let Some(resident) = resident else {
            let half = used + segment <= self.most.midpoint(self.least);
            return if half { Turn::Grow } else { Turn::Stay };
        };
        // Code is shared memory.
        let all = resident + used as u64;
        // Two bytes of it take one more to be described.
        let more = segment as u64 * 3 / 2;
        if all + more + MARGIN <= most {
            Turn::Grow
        } else if all + MARGIN / 2 > most && used >= self.least + segment {
            Turn::Shrink
        } else {
            Turn::Stay
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn turn(used: usize, resident: Option<u64>) -> Turn {
        let room = CodeRoom { least: 8 * MIB, most: 32 * MIB, process: Some(64 << 20) };
        room.turn(used * MIB, 2 * MIB, resident.map(|mib| mib << 20))
    }

    #[test]
    fn room_goes_by_what_the_process_takes() {
        use Turn::{Grow, Shrink, Stay};
        let turns = [20, 40, 41, 43, 44].map(|mib| turn(20, Some(mib)));
        assert_eq!(turns, [Grow, Grow, Stay, Stay, Shrink]);
    }

    #[test]
    fn there_is_some_in_any_case() {
        assert_eq!((turn(7, Some(1000)), turn(9, Some(1000))), (Turn::Grow, Turn::Stay));
        assert_eq!((turn(10, Some(1000)), turn(10, Some(20))), (Turn::Shrink, Turn::Grow));
        assert_eq!((turn(18, None), turn(19, None)), (Turn::Grow, Turn::Stay));
        assert_eq!(CodeRoom::from(8 * MIB).turn(100 * MIB, MIB, Some(1 << 40)), Turn::Grow);
    }
}
