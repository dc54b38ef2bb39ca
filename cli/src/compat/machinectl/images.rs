//! Verbs for images.

use super::args::{ImageVerb, Options};
use super::{Refusal, Step, Subject, Translation, each, words};

/// What a verb for images comes to.
pub(super) fn translate(verb: &ImageVerb, options: &Options) -> Result<Translation, Refusal> {
    let images = |names: &[String], failure, line: &[&str]| {
        each(names, failure, Subject::Image, |name| {
            words(&[line, &[name]].concat())
        })
    };
    let one = |name: &str, failure, line: Vec<String>| {
        each(&[name.to_owned()], failure, Subject::Image, |_| {
            line.clone()
        })
    };
    Ok(match verb {
        ImageVerb::ImageStatus(names) if names.names.is_empty() => pool(None),
        ImageVerb::ImageStatus(names) => images(
            &names.names,
            "Could not get path to image",
            &["image-status"],
        ),
        ImageVerb::ShowImage(names) if names.names.is_empty() => pool(Some(options.choice())),
        ImageVerb::ShowImage(names) => show(&names.names, options),
        ImageVerb::Edit(names) => images(&names.names, "", &["edit"]),
        ImageVerb::Cat(names) => images(&names.names, "", &["cat"]),
        ImageVerb::Clone { source, name } => {
            let mut line = words(&["--quiet", "clone"]);
            line.extend(options.transfer.read_only.then(|| "--read-only".to_owned()));
            line.extend([source.clone(), name.clone()]);
            one(source, "Could not clone image", line)
        }
        ImageVerb::Rename { old, new } => {
            let line = words(&["--quiet", "rename", old, new]);
            one(old, "Could not rename image", line)
        }
        ImageVerb::ReadOnly { name, how } => {
            let how = how.as_deref().unwrap_or("yes");
            let line = words(&["--quiet", "read-only", name, how]);
            one(name, "Could not mark image read-only", line)
        }
        ImageVerb::Remove(names) => images(
            &names.names,
            "Could not remove image",
            &["--quiet", "remove"],
        ),
        ImageVerb::SetLimit { .. } => {
            let what = "set-limit is not supported by nsrun".to_owned();
            return Err(Refusal::Unsupported(what));
        }
        ImageVerb::Clean => {
            let mut line = words(&["clean"]);
            line.extend(options.all.then(|| "--all".to_owned()));
            let step = Step::Nsrun {
                words: line,
                name: None,
            };
            about_images(vec![step], "Could not clean pool")
        }
    })
}

fn about_images(steps: Vec<Step>, failure: &'static str) -> Translation {
    Translation {
        steps,
        failure,
        subject: Subject::Image,
    }
}

fn pool(choice: Option<super::super::step::Choice>) -> Translation {
    about_images(vec![Step::Pool { choice }], "")
}

fn show(names: &[String], options: &Options) -> Translation {
    let mut steps = Vec::new();
    for (number, name) in names.iter().enumerate() {
        if number > 0 {
            steps.push(Step::Say(String::new()));
        }
        steps.push(Step::ImageProperties {
            name: name.clone(),
            choice: options.choice(),
        });
    }
    about_images(steps, "Could not get path to image")
}
