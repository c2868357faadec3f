//! A table whose places are used again, with a count of the uses, so that a stale reference is known as such.

/// The table.
#[derive(Debug)]
pub struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Puts a value into a free place: the place, and the count of its uses.
    pub fn insert(&mut self, value: T) -> (u32, u32) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.value = Some(value);
        (index, place.generation)
    }
    /// Takes a value out.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.places.get_mut(index as usize)?;
        let value = place.value.take()?;
        place.generation = (place.generation + 1) & 0xff_ffff;
        self.free.push(index);
        Some(value)
    }
    /// The value in a place.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.places.get(index as usize)?.value.as_ref()
    }
    /// The same, to be changed.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.places.get_mut(index as usize)?.value.as_mut()
    }
    /// Whether a place has the value that was put in at this use.
    pub fn has(&self, index: u32, generation: u32) -> bool {
        self.places
            .get(index as usize)
            .is_some_and(|place| place.generation == generation && place.value.is_some())
    }
    /// How often the place was used before.
    pub fn generation(&self, index: u32) -> u32 {
        self.places.get(index as usize).map_or(0, |place| place.generation)
    }
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// All values with their places.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(index, place)| Some((index as u32, place.value.as_ref()?)))
    }
    /// All values with their places, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.places
            .iter_mut()
            .enumerate()
            .filter_map(|(index, place)| Some((index as u32, place.value.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let mut slots = Slots::default();
        let (first, one) = slots.insert('a');
        let (second, _) = slots.insert('b');
        assert_eq!((slots.remove(first), slots.remove(first), slots.len()), (Some('a'), None, 1));
        let (third, two) = slots.insert('c');
        assert_eq!((third, slots.get(second)), (first, Some(&'b')));
        assert!(!slots.has(first, one) && slots.has(first, two));
        assert_eq!(slots.iter().map(|(_, value)| *value).collect::<String>(), "cb");
    }
}
