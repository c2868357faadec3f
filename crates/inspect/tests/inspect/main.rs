//! Images that are made here, and looked into.

mod disk;
mod ext;
mod fat;
mod hostile;
mod iso;
mod ntfs;
mod partitions;
mod tools;
