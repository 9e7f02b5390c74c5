//! The committed corpus, replayed: every seed, and every input that ever broke something.

use std::fs;
use std::path::Path;

use causeway_fuzz::TARGETS;

#[test]
fn the_corpus_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut replayed = 0;
        for entry in fs::read_dir(corpora.join(name)).expect("a folder for each target") {
            let path = entry.expect("an entry").path();
            println!("{}", path.display());
            target(&fs::read(&path).expect("a seed"));
            replayed += 1;
        }
        assert!(replayed >= 10, "{name}: {replayed} seeds");
    }
}

#[test]
fn each_corpus_has_its_target_and_its_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = fs::read_dir(fuzz.join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, _) in TARGETS {
        assert!(fuzz.join(format!("src/bin/{name}.rs")).exists(), "{name}");
    }
}
