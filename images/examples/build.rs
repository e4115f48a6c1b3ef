//! Builds parts by hand: `cargo run -p rackwright-images --example build -- ephemeral cloud AGENT OUT CACHE`.

use std::time::Instant;

use rackwright_images::ephemeral::{self, EphemeralRecipe};
use rackwright_images::{Kernel, Progress};

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
        _ => panic!("usage: build ephemeral cloud|generic AGENT OUT CACHE"),
    };
    match result {
        Ok(text) => println!("{:6.1} done\n{text}", start.elapsed().as_secs_f32()),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
