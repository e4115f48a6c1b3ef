//! Builds parts by hand: `cargo run -p rackwright-images --example build -- ephemeral cloud AGENT OUT CACHE`.

use std::time::Instant;

use rackwright_images::bootloaders::{self, BootLoaderRecipe};
use rackwright_images::debian::{self, OsRecipe};
use rackwright_images::ephemeral::{self, EphemeralRecipe};
use rackwright_images::toolbox::{self, ToolboxRecipe};
use rackwright_images::{Kernel, Progress, import};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let mut progress = |p: Progress<'_>| {
        if let Progress::Step(step) = p {
            println!("{:6.1} {step}", start.elapsed().as_secs_f32());
        }
    };
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["ephemeral", flavour, agent, out, cache] => {
            let kernel = if flavour == "generic" { Kernel::Generic } else { Kernel::Cloud };
            let recipe = EphemeralRecipe::new(kernel, agent.into(), out.into(), cache.into());
            ephemeral::build(&recipe, &mut progress).map(|b| format!("{:#?}", b.manifest.files))
        }
        ["debian", out, cache] => {
            let recipe = OsRecipe::new("debian-12", out.into(), cache.into());
            debian::build(&recipe, &mut progress).map(|b| format!("{:#?}", b.manifest.images))
        }
        ["toolbox", out, cache] => {
            let (out, cache) = (out.into(), cache.into());
            let recipe = ToolboxRecipe {
                out,
                cache,
                mirror: None,
                release: "bookworm".into(),
                extra_packages: vec![],
            };
            toolbox::build(&recipe, &mut progress).map(|b| format!("{:#?}", b.manifest.files))
        }
        ["bootloaders", out, cache] => {
            let (out, cache) = (out.into(), cache.into());
            let recipe = BootLoaderRecipe { out, cache, mirror: None, release: "bookworm".into() };
            bootloaders::collect(&recipe, &mut progress).map(|m| format!("{:#?}", m.files))
        }
        ["import", source, out] => {
            import::convert(source.as_ref(), out.as_ref(), None, &mut progress).map(|i| format!("{i:#?}"))
        }
        _ => panic!(
            "usage: build ephemeral FLAVOUR AGENT OUT CACHE | debian OUT CACHE | toolbox OUT CACHE | bootloaders OUT CACHE | import FILE OUT"
        ),
    };
    match result {
        Ok(text) => println!("{:6.1} done\n{text}", start.elapsed().as_secs_f32()),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
