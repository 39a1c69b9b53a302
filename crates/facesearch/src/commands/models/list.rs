//! `facesearch models list` and `show`: what lawyers and engineers want to know of each model.

use comfy_table::{ContentArrangement, Table, presets};
use facesearch_core::Metric;
use facesearch_zoo::{Cache, Imported, Model, Zoo};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open;
use crate::printer::Printer;

/// A model as `--json` gives it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    kind: &'static str,
    title: &'a str,
    default: bool,
    paper: &'a str,
    code_licence: &'a str,
    weights_licence: &'a str,
    commercial: &'static str,
    parameters: Option<u64>,
    bytes: Option<u64>,
    input: Option<[u32; 2]>,
    colour: &'a str,
    scaling: &'a str,
    dimension: Option<usize>,
    metric: Option<Metric>,
    threshold: Option<f32>,
    threshold_origin: Option<&'a str>,
    presets: Vec<ListedPreset<'a>>,
    accuracy: Option<&'a str>,
    accuracy_source: Option<&'a str>,
    present: bool,
    address: Option<&'a str>,
}

#[derive(Serialize)]
struct ListedPreset<'a> {
    name: &'a str,
    metric: Metric,
    value: f32,
    l2: f32,
}

impl<'a> Listed<'a> {
    fn new(model: &'a Model, cache: &Cache) -> anyhow::Result<Self> {
        let output = model.output.as_ref();
        let accuracy = model.accuracy.as_ref();
        let present = match &model.by_hand {
            None => model.is_present(cache),
            Some(by_hand) => cache.imported(&model.name)?.is_some() || by_hand.found().is_some(),
        };
        let preset = |preset: &'a facesearch_zoo::Preset| ListedPreset {
            name: &preset.name,
            metric: preset.metric,
            value: preset.value,
            l2: preset.l2(),
        };
        Ok(Self {
            name: &model.name,
            kind: model.kind.name(),
            title: &model.title,
            default: model.default,
            paper: &model.paper,
            code_licence: &model.code_licence,
            weights_licence: &model.weights_licence,
            commercial: model.commercial.name(),
            parameters: model.parameters,
            bytes: (!model.artifacts.is_empty()).then(|| model.size()),
            input: model.input.size,
            colour: &model.input.colour,
            scaling: &model.input.scaling,
            dimension: output.map(|o| o.dimension),
            metric: output.map(|o| o.metric),
            threshold: output.map(|o| o.threshold),
            threshold_origin: output.map(|o| o.threshold_origin.as_str()),
            presets: model.presets.iter().map(preset).collect(),
            accuracy: accuracy.map(|a| a.figure.as_str()),
            accuracy_source: accuracy.map(|a| a.source.as_str()),
            present,
            address: model.by_hand.as_ref().map(|by_hand| by_hand.address.as_str()),
        })
    }

    /// A row of the table.
    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let star = if self.default { "*" } else { "" };
        let size = match (self.bytes, self.parameters) {
            (Some(bytes), _) => format!("{:.1} MB", bytes as f64 / 1e6),
            (None, Some(parameters)) => format!("~{:.0} MB", parameters as f64 * 4.0 / 1e6),
            (None, None) => dash(),
        };
        let source = self.accuracy_source.map(|text| text.split(", http").next().unwrap_or(text));
        let accuracy = self.accuracy.zip(source);
        vec![
            format!("{}{star}", self.name),
            self.kind.to_owned(),
            self.weights_licence.to_owned(),
            self.commercial.to_owned(),
            size,
            self.dimension.map_or_else(dash, |dimension| dimension.to_string()),
            self.metric.map_or_else(dash, |metric| metric.to_string()),
            self.threshold.map_or_else(dash, |threshold| threshold.to_string()),
            accuracy.map_or_else(dash, |(figure, source)| format!("{figure} ({source})")),
            if self.present { "yes" } else { "no" }.to_owned(),
        ]
    }

    /// A paragraph for people.
    fn for_people(&self) -> String {
        let default = if self.default { ", used by default" } else { "" };
        let mut lines = vec![
            format!("{} ({}{default}): {}", self.name, self.kind, self.title),
            format!("    weights   {} (commercial use: {})", self.weights_licence, self.commercial),
            format!("    code      {}", self.code_licence),
            format!("    paper     {}", self.paper),
        ];
        let here = if self.present { "present" } else { "not here yet" };
        match (self.bytes, self.address) {
            (Some(bytes), _) => {
                lines.push(format!("    files     {:.1} MB, {here}", bytes as f64 / 1e6))
            }
            (None, address) => {
                let address = address.unwrap_or_default();
                lines.push(format!("    files     to be fetched by hand from {address}; {here}"));
            }
        }
        if let Some(parameters) = self.parameters {
            lines.push(format!("    numbers   {parameters} trained"));
        }
        let size = self.input.map(|[w, h]| format!("{w}x{h}, ")).unwrap_or_default();
        lines.push(format!("    input     {size}{}, {}", self.colour, self.scaling));
        if let (Some(dimension), Some(metric), Some(threshold)) =
            (self.dimension, self.metric, self.threshold)
        {
            lines.push(format!("    gives     {dimension} numbers, compared by {metric}"));
            let origin = self.threshold_origin.unwrap_or_default();
            lines.push(format!("    threshold {threshold} L2 ({origin})"));
        }
        for ListedPreset { name, metric, value, l2 } in &self.presets {
            lines.push(format!("    preset    {name}: {metric} {value} (L2 {l2:.3})"));
        }
        if let (Some(figure), Some(source)) = (self.accuracy, self.accuracy_source) {
            lines.push(format!("    accuracy  {figure} ({source})"));
        }
        lines.join("\n")
    }
}

/// A model the user brought, as `--json` gives it.
#[derive(Serialize)]
struct Brought<'a> {
    name: &'a str,
    kind: &'static str,
    imported: &'a Imported,
    present: bool,
}

pub(super) fn run(
    zoo: &Zoo,
    json: bool,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "NAME",
        "KIND",
        "LICENCE OF THE WEIGHTS",
        "COMMERCIAL USE",
        "SIZE",
        "NUMBERS",
        "METRIC",
        "THRESHOLD (L2)",
        "ACCURACY (WHO SAYS SO)",
        "HERE",
    ]);
    for model in zoo.models() {
        let listed = Listed::new(model, &cache)?;
        if json {
            out.json(&listed)?;
        } else {
            table.add_row(listed.row());
        }
    }
    for name in cache.imported_names() {
        // Weights of a model of the catalogue are told there.
        if zoo.model(&name).is_ok() {
            continue;
        }
        let Some(imported) = cache.imported(&name)? else { continue };
        if json {
            out.json(&Brought {
                name: &name,
                kind: "recogniser",
                imported: &imported,
                present: true,
            })?;
        } else {
            table.add_row(brought_row(&name, &imported));
        }
    }
    if !json {
        for line in table.lines() {
            out.line(line.trim_end())?;
        }
        out.note("* is used by default; `facesearch models show NAME` tells all of one model");
    }
    Ok(Exit::Success)
}

fn brought_row(name: &str, imported: &Imported) -> Vec<String> {
    let dash = || "-".to_owned();
    let network = imported.network.as_ref();
    vec![
        name.to_owned(),
        "recogniser".to_owned(),
        format!("as you have it ({})", imported.original),
        "as you have it".to_owned(),
        dash(),
        dash(),
        network.map_or_else(dash, |network| network.metric.to_string()),
        network.and_then(|network| network.threshold).map_or_else(dash, |l2| l2.to_string()),
        imported.architecture.as_ref().map_or_else(dash, |model| format!("weights for {model}")),
        "yes".to_owned(),
    ]
}

pub(super) fn show(
    zoo: &Zoo,
    name: &str,
    json: bool,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    let imported = cache.imported(name)?;
    match zoo.model(name) {
        Ok(model) => {
            let listed = Listed::new(model, &cache)?;
            if json {
                out.json(&listed)?
            } else {
                out.line(listed.for_people())?
            }
            if let (Some(imported), false) = (imported, json) {
                out.line(format!(
                    "    imported  from {} ({}, SHA-256 {})",
                    imported.original, imported.format, imported.sha256
                ))?;
            }
        }
        Err(unknown) => {
            let imported = imported.ok_or_else(|| Failure::usage(unknown.to_string()))?;
            if json {
                let kind = "recogniser";
                out.json(&Brought { name, kind, imported: &imported, present: true })?;
            } else {
                out.line(format!(
                    "{name} (recogniser): {} of {}, SHA-256 {}",
                    imported.original, imported.format, imported.sha256
                ))?;
                if let Some(model) = &imported.architecture {
                    out.line(format!("    weights for {model}"))?;
                }
                if let Some(network) = &imported.network {
                    let [width, height] = network.size;
                    out.line(format!(
                        "    input     {width}x{height}, {}, {}, chips cut by {}",
                        network.colours, network.normalise, network.align
                    ))?;
                    let threshold = network.threshold.map_or("no threshold".into(), |threshold| {
                        format!("threshold {threshold} L2")
                    });
                    out.line(format!("    compared by {}, {threshold}", network.metric))?;
                }
            }
        }
    }
    Ok(Exit::Success)
}
