//! Findings with the line they are about: drawn on a terminal, plain lines elsewhere.

use headwater_app::view::{Finding, Place};
use headwater_server::wire;
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, MietteError, MietteSpanContents, Report,
    Severity, SourceCode, SourceSpan, SpanContents,
};

use super::{Color, Printer, grouped, to_stderr};
use crate::commands::Stop;

impl Printer {
    /// Findings as words on stderr, or with `--json` as data.
    pub(crate) fn findings(&self, findings: Vec<Finding>) -> Result<(), Stop> {
        if self.json {
            let findings: Vec<wire::Finding> = findings.into_iter().map(Into::into).collect();
            return self.json(&findings);
        }
        self.findings_as_words(&findings);
        Ok(())
    }

    pub(crate) fn findings_as_words(&self, findings: &[Finding]) {
        for finding in findings {
            let drawn = if self.stderr_is_terminal { self.draw(finding) } else { None };
            to_stderr(&drawn.unwrap_or_else(|| self.plain(finding)));
        }
    }

    fn plain(&self, finding: &Finding) -> String {
        let label =
            if finding.is_error { self.paint("error", Color::Red) } else { self.paint("warning", Color::Yellow) };
        let event = finding.event.map(|event| format!("[{event}]")).unwrap_or_default();
        let mut text = format!("{label}{event}: {}\n", finding.message);
        if let Some(place) = &finding.place {
            text.push_str(&format!("  --> {}:{}:{}\n", place.path, place.line, place.column));
        }
        for line in finding.detail.iter().flat_map(|detail| detail.lines()) {
            text.push_str(&format!("  {line}\n"));
        }
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        text
    }

    fn draw(&self, finding: &Finding) -> Option<String> {
        let theme = if self.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(0).with_links(false);
        let report = report_of(finding);
        let mut text = String::new();
        handler.render_report(&mut text, report.as_ref()).ok()?;
        Some(text)
    }
}

fn report_of(finding: &Finding) -> Report {
    let severity = if finding.is_error { Severity::Error } else { Severity::Warning };
    let mut diagnostic = MietteDiagnostic::new(finding.message.clone()).with_severity(severity);
    if let Some(event) = finding.event {
        diagnostic = diagnostic.with_code(event);
    }
    if let Some(hint) = &finding.hint {
        diagnostic = diagnostic.with_help(hint.clone());
    }
    match &finding.place {
        None => Report::new(with_detail_in_message(diagnostic, finding)),
        Some(place) => {
            let label = LabeledSpan::new_with_span(finding.detail.clone(), span_of(place));
            Report::new(diagnostic.with_label(label)).with_source_code(PlaceSource(place.clone()))
        }
    }
}

/// Without a place there is no label to carry the detail.
fn with_detail_in_message(mut diagnostic: MietteDiagnostic, finding: &Finding) -> MietteDiagnostic {
    if let Some(detail) = &finding.detail {
        diagnostic.message.push('\n');
        diagnostic.message.push_str(detail);
    }
    diagnostic
}

/// Characters of the line as bytes of it.
fn span_of(place: &Place) -> SourceSpan {
    let byte_of = |character: u32| {
        let index = usize::try_from(character).unwrap_or(usize::MAX);
        place.text.char_indices().nth(index).map_or(place.text.len(), |(byte, _)| byte)
    };
    let first = place.column.saturating_sub(1);
    let (start, end) = (byte_of(first), byte_of(first.saturating_add(place.length)));
    SourceSpan::from((start, end.saturating_sub(start)))
}

/// One line of a file that knows its place in it.
#[derive(Debug)]
struct PlaceSource(Place);

impl SourceCode for PlaceSource {
    fn read_span<'a>(
        &'a self,
        _span: &SourceSpan,
        _before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let line = usize::try_from(self.0.line.saturating_sub(1)).unwrap_or(0);
        let whole = SourceSpan::from((0, self.0.text.len()));
        let text = self.0.text.as_bytes();
        Ok(Box::new(MietteSpanContents::new_named(self.0.path.clone(), text, whole, line, 0, 1)))
    }
}

/// `2 errors, 1 warning`.
pub(crate) fn count_findings(errors: usize, warnings: usize) -> String {
    let plural = |count: usize, word: &str| {
        let ending = if count == 1 { "" } else { "s" };
        format!("{} {word}{ending}", grouped(u64::try_from(count).unwrap_or(u64::MAX)))
    };
    format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))
}
