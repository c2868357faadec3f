//! Characters in and out.
use super::device::Uart;
use super::spec::ier;

/// Bytes of input that wait for the receiver at most.
pub(super) const INPUT_LIMIT: usize = 4096;
/// After so many line status reads in a row that found nothing, the guest is taken to wait for input by polling.
const POLLS_OF_A_READER: u8 = 64;

impl Uart {
    /// Takes input for the guest and returns how much of it; after less than all of it, `on_room` is called once there is
    /// room again.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let accepted = bytes.len().min(INPUT_LIMIT - self.state.input.len().min(INPUT_LIMIT));
        self.state.input.extend(&bytes[..accepted]);
        self.room_wanted |= accepted < bytes.len();
        self.receive_input();
        self.update_irq();
        accepted
    }
    /// The output that had no room has some again.
    pub fn output_ready(&mut self) {
        self.flush_output();
        self.update_irq();
    }
    /// Whether output waits for [`Uart::output_ready`].
    pub fn has_unsent(&self) -> bool {
        !self.state.to_send.is_empty()
    }

    /// Whether the guest reads. A driver that starts up clears the receiver and reads it blindly; input that came
    /// before must survive that (`echo … | gasang run`), so it waits until receive interrupts are on or the guest polls.
    fn is_listening(&self) -> bool {
        self.state.ier & ier::RECEIVED != 0 || self.state.idle_polls >= POLLS_OF_A_READER
    }
    /// A line status read that found nothing.
    pub(super) fn idle_poll(&mut self) {
        self.state.idle_polls = self.state.idle_polls.saturating_add(1);
        self.receive_input();
    }
    /// Moves waiting input into the receiver as far as there is room.
    pub(super) fn receive_input(&mut self) {
        if self.state.is_looped() || !self.is_listening() {
            return;
        }
        let room = self.state.capacity().saturating_sub(self.state.received.len());
        let moved = room.min(self.state.input.len());
        if moved > 0 {
            let Self { state, .. } = self;
            state.received.extend(state.input.drain(..moved));
            self.restart_timeout();
        }
        if self.room_wanted && self.state.input.len() <= INPUT_LIMIT / 2 {
            self.room_wanted = false;
            (self.on_room)();
        }
    }
    /// Empties the receiver. A driver that probes the port turns its interrupts on for a moment, which looks like
    /// listening; what it then clears unread still waits for the driver that means it.
    pub(super) fn take_back_received(&mut self) {
        let state = &mut self.state;
        if !state.is_looped() {
            while let Some(byte) = state.received.pop_back() {
                state.input.push_front(byte);
            }
        }
        state.received.clear();
    }
    /// The receiver buffer register. An empty one reads as 0.
    pub(super) fn read_received(&mut self) -> u8 {
        let byte = self.state.received.pop_front().unwrap_or(0);
        self.state.timed_out = false;
        self.state.timeout_ns = None;
        self.receive_input();
        if !self.state.received.is_empty() {
            self.restart_timeout();
        }
        byte
    }
    fn restart_timeout(&mut self) {
        self.state.timed_out = false;
        self.state.timeout_ns = None;
        if self.state.has_fifos() && self.state.received.len() < self.state.trigger() {
            let timeout_ns = self.clock.now_ns() + self.state.timeout_after_ns();
            self.state.timeout_ns = Some(timeout_ns);
            self.timeout.arm(timeout_ns);
        }
    }

    /// The transmitter holding register.
    pub(super) fn send(&mut self, byte: u8) {
        self.state.sent = false;
        if self.state.is_looped() {
            self.state.sent = true;
            if self.state.received.len() < self.state.capacity() {
                self.state.received.push_back(byte);
                self.restart_timeout();
            } else {
                self.state.overrun = true;
            }
            return;
        }
        // The usual case, without the detour.
        if self.state.to_send.is_empty() && self.output.write(&[byte]) == 1 {
            self.state.sent = true;
        } else if self.state.to_send.len() < self.state.capacity() {
            self.state.to_send.push_back(byte);
        } else {
            tracing::debug!("the guest wrote to a full serial transmitter");
        }
    }
    /// Sends what waits, as far as the output takes it.
    pub(super) fn flush_output(&mut self) {
        if self.state.to_send.is_empty() {
            return;
        }
        let bytes = self.state.to_send.make_contiguous();
        let sent = self.output.write(bytes).min(bytes.len());
        self.state.to_send.drain(..sent);
        if self.state.to_send.is_empty() {
            self.state.sent = true;
        }
    }
    /// Empties the transmitter's FIFO.
    pub(super) fn drop_unsent(&mut self) {
        self.flush_output();
        self.state.to_send.clear();
        self.state.sent = true;
    }
}
