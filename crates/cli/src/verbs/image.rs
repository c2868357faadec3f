//! `gasang image`: guests with a disk that gasang can make.
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use manager::cache::Cache;
use manager::images::{ImageError, Images, RECIPES, Recipe};
use serde::Serialize;

use crate::exit::{Code, Usage};
use crate::output::{self, say};
use crate::quantity::show_size;

#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  gasang image ls\n  gasang image build debian-12\n  gasang run debian-12"
)]
pub struct Image {
    #[command(subcommand)]
    action: Action,
    /// Where guests are kept [default: $XDG_CACHE_HOME/gasang/guests]
    #[arg(long, value_name = "DIR", env = "GASANG_GUESTS", global = true)]
    guests_dir: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List the guests that can be made, and which are there
    Ls {
        /// How to print it
        #[arg(long, default_value = "table")]
        format: output::Format,
    },
    /// Make a guest from Debian's packages by mmdebstrap; an ordinary user needs newuidmap for that (package uidmap)
    Build {
        /// Its name
        name: String,
    },
    /// Remove a guest that was made
    Rm {
        /// Its name
        name: String,
    },
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    /// The disk image, if it has been made.
    disk: Option<PathBuf>,
    /// Bytes that the image takes.
    bytes: Option<u64>,
}

impl Image {
    /// Does it.
    pub fn execute(self) -> anyhow::Result<Code> {
        let images = images(self.guests_dir.as_deref())?;
        match self.action {
            Action::Ls { format } => {
                let rows: Vec<Row> = RECIPES.iter().map(|recipe| row(&images, recipe)).collect();
                output::print(format, &rows, |rows| table(rows))?;
            }
            Action::Build { name } => {
                let guest = images.made_disk_guest(recipe(&name)?)?;
                say(&format!("{name} is there: {}; 'gasang run {name}' boots it", guest.disk.display()));
            }
            Action::Rm { name } => {
                if !images.remove_disk_guest(recipe(&name)?)? {
                    say(&format!("{name} was not there"));
                    return Ok(Code::NOT_FOUND);
                }
            }
        }
        Ok(Code::OK)
    }
}

/// Guests where the user keeps them.
pub fn images(directory: Option<&Path>) -> Result<Images<'static>, ImageError> {
    let cache = directory.map_or_else(Cache::of_user, |directory| Ok(Cache::at(directory)));
    Ok(Images::new(cache.map_err(ImageError::Cache)?, |step| say(&format!("gasang: {step} …"))))
}

/// The recipe of a name.
pub fn recipe(name: &str) -> Result<&'static Recipe, Usage> {
    let names: Vec<_> = RECIPES.iter().map(|recipe| recipe.name).collect();
    Recipe::of(name).ok_or_else(|| Usage {
        what: format!("there is no image called {name:?}"),
        advice: format!(
            "there are: {}; for a disk image of your own, give --disk FILE and --kernel",
            names.join(", ")
        ),
    })
}

fn row(images: &Images<'_>, recipe: &'static Recipe) -> Row {
    let disk = images.disk_guest(recipe).map(|guest| guest.disk);
    let bytes = disk.as_ref().and_then(|disk| disk.metadata().ok()).map(|metadata| metadata.len());
    Row { name: recipe.name, about: recipe.about, disk, bytes }
}

fn table(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let size = row.bytes.map_or_else(|| "not made".to_owned(), show_size);
        vec![row.name.to_owned(), size, row.about.to_owned()]
    };
    output::table(&["NAME", "SIZE", "ABOUT"], &rows.iter().map(cells).collect::<Vec<_>>())
}
