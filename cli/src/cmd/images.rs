//! `nsrun images` and `nsrun image-status`.

use comfy_table::{Table, presets};
use indicatif::BinaryBytes;
use nsrun_runtime::Result;
use nsrun_runtime::image::{self, ImageDetail, ImageName, ImageSummary, ListOptions};

use crate::globals::Globals;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun images
  nsrun images --all --usage";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImagesArgs {
    /// List hidden images too
    #[arg(short, long)]
    all: bool,

    /// Measure the space that directories take, which takes as long as du
    #[arg(long)]
    usage: bool,

    /// Print the rows only, without heading and count
    #[arg(long)]
    no_legend: bool,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  nsrun image-status web db";

#[derive(clap::Args, Debug)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct ImageStatusArgs {
    /// The images' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<ImageName>,

    /// Measure the space that directories take, which takes as long as du
    #[arg(long)]
    usage: bool,
}

/// Prints one row for each image.
pub(crate) fn list(args: &ImagesArgs, globals: &Globals) -> Result<()> {
    let options = ListOptions {
        all: args.all,
        usage: args.usage,
    };
    let images = image::list(&globals.dirs, options)?;
    if globals.json {
        return report::json(&images);
    }
    let legend = !args.no_legend;
    if images.is_empty() {
        if legend && !globals.quiet {
            report::line("No images.");
        }
        return Ok(());
    }
    let mut table = Table::new();
    *table.style_mut() = presets::NOTHING;
    if legend {
        table.set_header(["NAME", "TYPE", "RO", "USAGE", "CREATED", "MODIFIED"]);
    }
    for image in &images {
        table.add_row(row(image));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    report::line(table.trim_fmt());
    if legend && !globals.quiet {
        report::line(format_args!("\n{} images listed.", images.len()));
    }
    Ok(())
}

fn row(image: &ImageSummary) -> [String; 6] {
    let time = |time: Option<image::Moment>| time.map_or("-".to_owned(), |time| time.to_string());
    [
        image.name.to_string(),
        image.form.to_owned(),
        if image.read_only { "ro" } else { "rw" }.to_owned(),
        size(image).unwrap_or_else(|| "-".to_owned()),
        time(image.created),
        time(image.modified),
    ]
}

fn size(image: &ImageSummary) -> Option<String> {
    image.usage.map(|bytes| BinaryBytes(bytes).to_string())
}

/// Prints all that is known of some images.
pub(crate) fn status(args: &ImageStatusArgs, globals: &Globals) -> Result<()> {
    let look = |name| image::detail(&globals.dirs, name, args.usage);
    let details: Vec<ImageDetail> = args.names.iter().map(look).collect::<Result<_>>()?;
    if globals.json {
        return report::json(&details);
    }
    for (number, detail) in details.iter().enumerate() {
        if number > 0 {
            report::line("");
        }
        print(detail);
    }
    Ok(())
}

fn print(detail: &ImageDetail) {
    let summary = &detail.summary;
    report::line(&summary.name);
    let line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            report::line(format_args!("{name:>12}: {value}"));
        }
    };
    let access = if summary.read_only {
        "read-only"
    } else {
        "writable"
    };
    line("Type", Some(summary.form.to_owned()));
    line("Path", Some(summary.path.display().to_string()));
    line("Hostname", detail.hostname.clone());
    line("Machine ID", detail.machine_id.clone());
    line("OS", detail.os.clone());
    line("ID Shift", detail.shift.map(|base| base.to_string()));
    line("RO", Some(access.to_owned()));
    line("Enabled", detail.enabled.then(|| "yes".to_owned()));
    line("Created", summary.created.map(|time| time.to_string()));
    line("Modified", summary.modified.map(|time| time.to_string()));
    line("Imported", detail.imported.map(|time| time.to_string()));
    line("Source", detail.source.clone());
    line("SHA-256", detail.sha256.clone());
    line("Usage", size(summary));
}
