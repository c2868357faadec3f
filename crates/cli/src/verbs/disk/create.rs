//! `gasang disk create`.
use std::path::{Path, PathBuf};

use clap::Args;
use storage::{CreateOptions, Format, OpenOptions};

use crate::exit::{Code, Usage};
use crate::output::say;
use crate::quantity;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk create data.qcow2 10G\n  \
                         gasang disk create --backing base.qcow2 today.qcow2")]
pub struct Create {
    /// Where to make it; a file that is there already stays as it is
    file: PathBuf,
    /// Length of the disk, for example 10G [default: that of the backing file]
    #[arg(value_name = "SIZE", value_parser = quantity::size)]
    size: Option<u64>,
    /// Format of the image: raw, qcow2, vdi, vmdk or vhd [default: by the file's name, or else qcow2]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
    /// An image that has what the new one has not, and is not changed; in the same directory or below it
    #[arg(long, value_name = "FILE")]
    backing: Option<PathBuf>,
}

impl Create {
    /// Makes the image.
    pub fn execute(self) -> anyhow::Result<Code> {
        let format = self.image_format.unwrap_or_else(|| format_of(&self.file));
        let (backing, backing_length) = self.backing()?.unzip();
        let length = self.size.or(backing_length).ok_or_else(|| Usage {
            what: "how long shall the disk be?".to_owned(),
            advice: "give a size after the file, for example 10G".to_owned(),
        })?;
        storage::create(&self.file, &CreateOptions { format, length, backing })?;
        say(&format!("{}: {format}, {}", self.file.display(), quantity::show_size(length)));
        Ok(Code::OK)
    }

    /// The backing file, named as seen from the new image, its format and its length.
    fn backing(&self) -> anyhow::Result<Option<((PathBuf, Format), u64)>> {
        let Some(backing) = &self.backing else { return Ok(None) };
        let image = storage::open(backing, OpenOptions::read_only())?;
        let named = relative_to(backing, &self.file)?;
        Ok(Some(((named, image.info()?.format), image.shape().length)))
    }
}

/// The format that a new file's name asks for.
pub fn format_of(file: &Path) -> Format {
    let extension = file.extension().and_then(|extension| extension.to_str());
    extension.and_then(Format::of_extension).unwrap_or(Format::Qcow2)
}

/// A path as seen from the directory of a file, below which it has to be.
fn relative_to(backing: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (whole, directory) = (backing.canonicalize()?, parent.canonicalize()?);
    let inside = whole.strip_prefix(&directory).map_err(|_| Usage {
        what: format!("{} is not in the directory of {}, or below it", backing.display(), file.display()),
        advice: "make the new image beside its backing file".to_owned(),
    })?;
    Ok(inside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ask_for_formats() {
        for (name, format) in
            [("a.vdi", Format::Vdi), ("a.IMG", Format::Raw), ("a", Format::Qcow2), ("a.disk", Format::Qcow2)]
        {
            assert_eq!(format_of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn backing_files_are_named_from_the_image() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("base")).unwrap();
        let (backing, image) = (place.path().join("base/a.qcow2"), place.path().join("b.qcow2"));
        std::fs::write(&backing, b"").unwrap();
        assert_eq!(relative_to(&backing, &image).unwrap(), Path::new("base/a.qcow2"));
        assert!(relative_to(&backing, &place.path().join("base/c/d.qcow2")).is_err());
        let error = relative_to(&image, &image).unwrap_err();
        assert!(error.is::<std::io::Error>(), "no such file: {error}");
    }
}
