//! The examples are valid and plan as their READMEs say.

#[cfg(unix)]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pretty_assertions::assert_eq;

use crate::plan::text;
#[cfg(unix)]
use crate::service::{Service, get};
use crate::test_env::TestEnv;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The Prometheus names of the service's metrics.
#[cfg(unix)]
fn metrics() -> BTreeSet<String> {
    let env = TestEnv::in_preview(&["vm"]);
    let service = Service::ready(&env, "--listen 0");
    let (_, text) = get(service.address(), "/metrics");
    service.stop();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let name = |(name, kind): (&str, &str)| match kind {
        "histogram" => format!("{name}_bucket"),
        _ => name.to_owned(),
    };
    types.map(name).collect()
}

/// A test environment with a copy of the example, so that no test writes to the repository.
fn example(name: &str) -> TestEnv {
    let mut env = TestEnv::new();
    env.remove_env("GOLIVE_TOKEN");
    copy(&folder().join(name), Path::new(""), &env);
    env
}

fn copy(from: &Path, to: &Path, env: &TestEnv) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &name, env);
        } else if path.extension().is_some_and(|it| it == "yaml" || it == "yml") {
            env.write(name.to_str().unwrap(), std::fs::read(&path).unwrap());
        }
    }
}

/// The plan for a marketplace with every offer in preview.
#[track_caller]
fn planned(env: &TestEnv, code: i32) -> Vec<(String, String)> {
    let document = env.golive("plan --emulator -o json").code(code).stderr("").json();
    let offers = document["offers"].as_array().unwrap();
    let decided = |it: &serde_json::Value| {
        (text(&it["offer"]).to_owned(), format!("{} {}", text(&it["action"]), text(&it["reason"])))
    };
    offers.iter().map(decided).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(offer, what)| ((*offer).to_owned(), (*what).to_owned())).collect()
}

#[test]
fn quickstart_launches_once() {
    let env = example("quickstart");
    env.golive("validate").code(0).stdout("3 offers in 3 files: all valid\n").stderr("");
    let expected = pairs(&[
        ("contoso/contoso-backup", "InSync InPreview"),
        ("contoso/contoso-virtualmachineoffer", "GoLive GoLivePending"),
        ("fabrikam/fabrikam-containers", "GoLive GoLivePending"),
    ]);
    assert_eq!(planned(&env, 0), expected);
    // The embedded marketplace derives large numbers from the offers' names.
    env.golive("apply --emulator --wait --poll 20ms").code(0).stdout(
        "\
EMULATOR: nothing here touches the real marketplace
OFFER                                PHASE    REASON        MESSAGE
contoso/contoso-backup               Preview  InPreview     version 1893870364 is in preview
contoso/contoso-virtualmachineoffer  Live     InProduction  version 1877706840 is live
fabrikam/fabrikam-containers         Live     InProduction  version 1152921506506776016 is live
2 operations started; 3 offers: 2 Live, 1 Preview.
",
    );
    env.golive("apply --emulator --wait")
        .code(0)
        .stdout_has("Nothing to do: every offer is as desired");
}

#[test]
fn launch_train_waits_for_its_date() {
    let env = example("launch-train");
    let expected = pairs(&[
        ("contoso/base-image", "Held Scheduled"),
        ("contoso/database", "Held WaitingForDependency"),
        ("fabrikam/analytics", "Held Suspended"),
    ]);
    assert_eq!(planned(&env, 0), expected);
    env.golive("apply --emulator --wait")
        .code(0)
        .stdout_has("Nothing to do for now (3 offers: 3 Held).");
}

#[test]
fn monorepo_goes_in_waves() {
    let env = example("monorepo");
    env.golive("validate").code(0).stdout("6 offers in 3 files: all valid\n");
    let expected = pairs(&[
        ("contoso/firewall", "GoLive GoLivePending"),
        ("contoso/load-balancer", "Held WaitingForDependency"),
        ("contoso/vpn-gateway", "InSync InPreview"),
        ("fabrikam/archive", "GoLive GoLivePending"),
        ("fabrikam/object-store", "GoLive GoLivePending"),
        ("fabrikam/web-shop", "Held WaitingForDependency"),
    ]);
    assert_eq!(planned(&env, 0), expected);
    env.write("seed.yml.txt", "stepTime: 10ms");
    env.golive("apply --emulator --seed seed.yml.txt --wait --poll 10ms")
        .code(0)
        .stdout_has("5 operations started; 6 offers: 5 Live, 1 Preview.\n");
}

#[test]
fn every_example_has_a_test_and_fits_the_schema() {
    let validator =
        |schema| jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let manifest = validator(include_str!("../../schemas/manifest.schema.json"));
    let config = validator(include_str!("../../schemas/config.schema.json"));
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["ci", "container", "launch-train", "monorepo", "prometheus", "quickstart", "systemd"]
    );
    for name in names {
        for (file, bytes) in example(&name).files() {
            let validator = if file.ends_with("golive.yaml") { &config } else { &manifest };
            for document in serde_yaml::Deserializer::from_slice(&bytes) {
                let value: serde_json::Value = serde::Deserialize::deserialize(document).unwrap();
                let errors: Vec<_> =
                    validator.iter_errors(&value).map(|it| it.to_string()).collect();
                assert_eq!(errors, Vec::<String>::new(), "{name}/{file}");
            }
        }
    }
}

/// golive ignores the other files by their names.
#[test]
fn all_examples_together_are_valid_manifests() {
    let env = example("");
    env.golive("validate").code(0).stdout("12 offers in 9 files: all valid\n").stderr("");
}

#[cfg(unix)]
#[test]
fn alerts_use_existing_metrics_and_phases() {
    let metrics = metrics();
    let rules = std::fs::read_to_string(folder().join("prometheus/golive.rules")).unwrap();
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let names: Vec<_> = rules.split(word).filter(|it| it.starts_with("golive_")).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(metrics.contains(name), "{name} is not in {metrics:?}");
    }
    let phases: Vec<_> = rules.split("phase=\"").skip(1).map(|it| it.split('"').next()).collect();
    assert_eq!(phases, [Some("Failed"), Some("Blocked")]);
    for phase in phases {
        serde_json::from_value::<golive::status::Phase>(phase.into()).unwrap();
    }

    // Each alert is in its README's table, and has a description.
    let rules: serde_json::Value = serde_yaml::from_str(&rules).unwrap();
    let readme = std::fs::read_to_string(folder().join("prometheus/README.md")).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        assert!(readme.contains(&format!("| `{}` |", text(&rule["alert"]))), "{rule}");
        assert!(!text(&rule["annotations"]["summary"]).is_empty(), "{rule}");
        assert!(!text(&rule["annotations"]["description"]).is_empty(), "{rule}");
    }
}

/// The manifests that Kubernetes mounts are valid, too.
#[test]
fn the_kubernetes_files_contain_valid_manifests() {
    let path = folder().join("container/kubernetes.yaml.example");
    let bytes = std::fs::read(path).unwrap();
    let read = |document| serde::Deserialize::deserialize(document).unwrap();
    let objects: Vec<serde_json::Value> =
        serde_yaml::Deserializer::from_slice(&bytes).map(read).collect();
    let of_kind = |kind: &str| objects.iter().find(|it| it["kind"] == kind).unwrap();
    let env = TestEnv::new();
    for (name, manifest) in of_kind("ConfigMap")["data"].as_object().unwrap() {
        env.write(name, text(manifest));
    }
    env.golive("validate").code(0).stdout("1 offer in 1 file: all valid\n");
    let spec = &of_kind("Deployment")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}
