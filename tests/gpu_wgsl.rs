//! GPU programs are valid WGSL, for every shipped model, scheme, precision and form of the sums. Needs no GPU.

mod judge;

use judge::{load, study, text};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use sarcolemma::backend::Stepping;
use sarcolemma::backend::gpu::{Real, wgsl};
use sarcolemma::run::sink::Precision;
use sarcolemma::run::{Backend, Choices, prepare};
use sarcolemma::scheme::{Scheme, Summation};

/// Parses and validates, as the GPU library does before it hands a program to a driver.
fn validate(what: &str, text: &str) {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(text)));
    let capabilities = Capabilities::FLOAT64 | Capabilities::SHADER_INT64;
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(text)));
}

#[test]
fn the_shaders_are_valid_as_they_stand() {
    let shader = |name: &str| text(&format!("shaders/{name}.wgsl"));
    for maths in ["maths_f32", "maths_f64"] {
        let mut whole = shader(maths);
        for file in ["ticks", "piece", "kernel"] {
            whole = format!("{whole}\n{}", shader(file));
            // What a piece finds is told to the kernel.
            let events = match file {
                "piece" => {
                    "var<private> work: u32;\nfn found_event(feature: u32, at: vec2<u32>) {}\n"
                }
                _ => "",
            };
            validate(&format!("{maths}, {file}"), &format!("{whole}\n{events}"));
        }
    }
    validate(
        "probe",
        &format!("{}\n{}", shader("maths_f32"), shader("probe")),
    );
    validate("fill", &shader("fill"));
}

#[test]
fn every_program_of_every_shipped_model_is_valid() {
    let choices = Choices {
        backend: Backend::Cpu,
        precision: Precision::F32,
        threads: 1,
        adapter: None,
        agreement_fibres: Some(0),
    };
    for name in [
        "hodgkin_huxley_1952",
        "shorten_2007_fast",
        "shorten_2007_slow",
        "skeletal_fibre",
    ] {
        let model = load(name);
        let v = &model
            .variable(model.labelled("membrane_potential").expect("it has one"))
            .name;
        let of = |record: &str| {
            study(
                &format!(
                    "model = '{name}'\nduration = '20 ms'\nsettle = '1 s'\n[population]\nfibres = 4\n{record}\n\
                     [features]\nspikes = {{ of = '{v}', threshold = 0 }}\npeak = {{ max = '{v}', after = '5 ms' }}\n"
                ),
                "",
            )
        };
        for record in [
            "",
            &format!("[record]\nvariables = ['{v}']\nevery = '1 ms'"),
        ] {
            let batch = prepare(&of(record), &choices).expect("a shipped model can be run");
            for scheme in Scheme::ALL {
                let stepping = Stepping {
                    scheme,
                    ..batch.stepping()
                };
                for (real, form) in [
                    (Real::F32, Summation::Compensated),
                    (Real::F32, Summation::Quanta),
                    (Real::F64, Summation::Plain),
                ] {
                    let text =
                        wgsl(&batch.experiment, &stepping, real, form).expect("it can be built");
                    validate(&format!("{name}, {scheme:?}, {real:?}, {form:?}"), &text);
                }
            }
        }
    }
}

/// What varies by fibre, by study or in time is in buffers: two studies of one model that differ in nothing else have one program.
#[test]
fn neither_parameters_nor_levels_nor_times_are_in_the_program() {
    let choices = Choices {
        backend: Backend::Cpu,
        precision: Precision::F32,
        threads: 1,
        adapter: None,
        agreement_fibres: Some(0),
    };
    let program = |fibres: u32, low: f64, level: f64, at: f64, every: f64, count: u32| {
        let text = format!(
            "model = 'hodgkin_huxley_1952'\nduration = '{} ms'\nscheme = 'ros3'\n[population]\nfibres = {fibres}\n\
             [population.parameters]\n'sodium.g' = {{ uniform = [{low}, 130] }}\n\
             [[protocol.pulse]]\nstart = '{at} ms'\nlength = '1 ms'\nperiod = '20 ms'\ncount = {count}\nlevel = {level}\n\
             [record]\nvariables = ['membrane.V']\nevery = '{every} ms'\n",
            at + 20.0 * f64::from(count)
        );
        let batch = prepare(&study(&text, ""), &choices).expect("it can be prepared");
        wgsl(
            &batch.experiment,
            &batch.stepping(),
            Real::F32,
            Summation::Compensated,
        )
        .expect("it can be built")
    };
    let one = program(10, 110.0, 1.0, 5.0, 0.5, 3);
    assert!(one == program(5000, 90.0, 0.7, 9.25, 0.1, 17));
}
