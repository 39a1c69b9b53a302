//! `facesearch models list` and `show`: what lawyers and engineers want to know of each model.

use comfy_table::{ContentArrangement, Table, presets};
use facesearch::{ImportedEntry, ModelEntry, ModelPreset, Models};

use crate::exit::Failure;
use crate::printer::{Printer, shown_name};

pub(super) fn run(models: &Models, json: bool, out: &mut Printer) -> anyhow::Result<()> {
    let (catalogue, imported) = (models.catalogue()?, models.imported()?);
    if json {
        catalogue.iter().try_for_each(|model| out.json(model))?;
        return imported.iter().try_for_each(|model| out.json(model));
    }
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
    table.add_rows(catalogue.iter().map(row));
    table.add_rows(imported.iter().map(imported_row));
    for line in table.lines() {
        out.line(line.trim_end())?;
    }
    out.note("* is used by default; `facesearch models show NAME` tells all of one model");
    Ok(())
}

/// A row of the table.
fn row(model: &ModelEntry) -> Vec<String> {
    let dash = || "-".to_owned();
    let star = if model.default { "*" } else { "" };
    let size = match (model.bytes, model.parameters) {
        (Some(bytes), _) => format!("{:.1} MB", bytes as f64 / 1e6),
        (None, Some(parameters)) => format!("~{:.0} MB", parameters as f64 * 4.0 / 1e6),
        (None, None) => dash(),
    };
    let source =
        model.accuracy_source.as_deref().map(|text| text.split(", http").next().unwrap_or(text));
    let accuracy = model.accuracy.as_deref().zip(source);
    vec![
        format!("{}{star}", model.name),
        model.kind.to_owned(),
        model.weights_licence.to_owned(),
        model.commercial.to_owned(),
        size,
        model.dimension.map_or_else(dash, |dimension| dimension.to_string()),
        model.metric.map_or_else(dash, |metric| metric.to_string()),
        model.threshold.map_or_else(dash, |threshold| threshold.to_string()),
        accuracy.map_or_else(dash, |(figure, source)| format!("{figure} ({source})")),
        if model.present { "yes" } else { "no" }.to_owned(),
    ]
}

/// A paragraph for people.
fn paragraph(model: &ModelEntry) -> Vec<String> {
    let default = if model.default { ", used by default" } else { "" };
    let mut lines = vec![
        format!("{} ({}{default}): {}", model.name, model.kind, model.title),
        format!("    weights   {} (commercial use: {})", model.weights_licence, model.commercial),
        format!("    code      {}", model.code_licence),
        format!("    paper     {}", model.paper),
    ];
    let here = if model.present { "present" } else { "not here yet" };
    match (model.bytes, model.address.as_deref()) {
        (Some(bytes), _) => {
            lines.push(format!("    files     {:.1} MB, {here}", bytes as f64 / 1e6))
        }
        (None, address) => {
            let address = address.unwrap_or_default();
            lines.push(format!("    files     to be fetched by hand from {address}; {here}"));
        }
    }
    if let Some(parameters) = model.parameters {
        lines.push(format!("    numbers   {parameters} trained"));
    }
    let size = model.input.map(|[w, h]| format!("{w}x{h}, ")).unwrap_or_default();
    lines.push(format!("    input     {size}{}, {}", model.colour, model.scaling));
    if let Some(network) = &model.network {
        lines.push(format!("    chips     cut by {}", network.align));
    }
    if let Some(metric) = model.metric {
        let dimension =
            model.dimension.map(|dimension| format!("{dimension} ")).unwrap_or_default();
        lines.push(format!("    gives     {dimension}numbers, compared by {metric}"));
        lines.push(match (model.threshold, &model.threshold_origin) {
            (Some(threshold), Some(origin)) => format!("    threshold {threshold} L2 ({origin})"),
            (Some(threshold), None) => format!("    threshold {threshold} L2"),
            (None, _) => "    threshold none: who asks for a decision gives one".to_owned(),
        });
    }
    for ModelPreset { name, metric, value, l2 } in &model.presets {
        lines.push(format!("    preset    {name}: {metric} {value} (L2 {l2:.3})"));
    }
    if let (Some(figure), Some(source)) =
        (model.accuracy.as_deref(), model.accuracy_source.as_deref())
    {
        lines.push(format!("    accuracy  {figure} ({source})"));
    }
    lines
}

fn imported_row(entry: &ImportedEntry) -> Vec<String> {
    let ImportedEntry { name, imported, .. } = entry;
    let dash = || "-".to_owned();
    let network = imported.network.as_ref();
    vec![
        shown_name(name),
        "recogniser".to_owned(),
        format!("as you have it ({})", shown_name(&imported.original)),
        "as you have it".to_owned(),
        dash(),
        dash(),
        network.map_or_else(dash, |network| network.metric.to_string()),
        network.and_then(|network| network.threshold).map_or_else(dash, |l2| l2.to_string()),
        imported
            .architecture
            .as_ref()
            .map_or_else(dash, |model| format!("weights for {}", shown_name(model))),
        "yes".to_owned(),
    ]
}

pub(super) fn show(
    models: &Models,
    name: &str,
    json: bool,
    out: &mut Printer,
) -> anyhow::Result<()> {
    let imported = models.imported_as(name)?;
    match (models.entry(name), imported) {
        (Ok(model), _) if json => out.json(&model),
        (Ok(model), imported) => {
            out.lines(paragraph(&model))?;
            if let Some(ImportedEntry { imported, .. }) = imported {
                out.line(format!(
                    "    imported  from {} ({}, SHA-256 {})",
                    imported.original, imported.format, imported.sha256
                ))?;
            }
            Ok(())
        }
        (Err(_), Some(entry)) if json => out.json(&entry),
        (Err(_), Some(entry)) => out.lines(imported_paragraph(&entry)),
        (Err(unknown), None) => Err(Failure::usage(unknown.to_string())),
    }
}

fn imported_paragraph(entry: &ImportedEntry) -> Vec<String> {
    let ImportedEntry { name, imported, .. } = entry;
    let mut lines = vec![format!(
        "{name} (recogniser): {} of {}, SHA-256 {}",
        imported.original, imported.format, imported.sha256
    )];
    lines.extend(imported.architecture.iter().map(|model| format!("    weights for {model}")));
    if let Some(network) = &imported.network {
        let [width, height] = network.size;
        lines.push(format!(
            "    input     {width}x{height}, {}, {}, chips cut by {}",
            network.colours, network.normalise, network.align
        ));
        let threshold = network.threshold.map(|threshold| format!(", threshold {threshold} L2"));
        lines.push(format!(
            "    compared by {}{}",
            network.metric,
            threshold.unwrap_or_else(|| ", no threshold".into())
        ));
    }
    lines
}
