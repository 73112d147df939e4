//! One Rust type as TypeScript.

use anyhow::{Context, bail};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, Field, Fields, GenericArgument, Item, ItemEnum, ItemStruct, Lit, Meta, PathArguments, Token,
};
use syn::{Type, Visibility};

/// What `serde` attributes of a type, variant or field say.
#[derive(Debug, Default)]
struct Serde {
    rename: Option<String>,
    is_snake_case: bool,
    tag: Option<String>,
    has_default: bool,
    is_flat: bool,
}

/// Every public type of a file that serde writes or reads, in order.
pub(super) fn declarations(source: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for item in syn::parse_file(source).context("the file is not Rust")?.items {
        let declared = match &item {
            Item::Struct(item) if is_wire(&item.vis, &item.attrs) => {
                structure(item).with_context(|| format!("struct {}", item.ident))?
            }
            Item::Enum(item) if is_wire(&item.vis, &item.attrs) => {
                enumeration(item).with_context(|| format!("enum {}", item.ident))?
            }
            _ => continue,
        };
        found.push(declared);
    }
    Ok(found)
}

fn is_wire(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    matches!(visibility, Visibility::Public(_))
        && (derives(attributes, "Serialize") || derives(attributes, "Deserialize"))
}

fn derives(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("derive")).any(|attribute| {
        let paths = attribute.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated);
        paths.is_ok_and(|paths| paths.iter().any(|path| path.is_ident(name)))
    })
}

fn serde(attributes: &[Attribute]) -> anyhow::Result<Serde> {
    let mut found = Serde::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        for meta in attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)? {
            let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
            match (name.as_str(), text(&meta)) {
                ("rename", Some(text)) => found.rename = Some(text),
                ("rename_all", Some(text)) if text == "snake_case" => found.is_snake_case = true,
                ("tag", Some(text)) => found.tag = Some(text),
                ("default", None) => found.has_default = true,
                ("flatten", None) => found.is_flat = true,
                ("deny_unknown_fields", None) => {}
                _ => bail!("the serde attribute `{name}` is not known here"),
            }
        }
    }
    Ok(found)
}

fn text(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else { return None };
    let Expr::Lit(literal) = &pair.value else { return None };
    let Lit::Str(text) = &literal.lit else { return None };
    Some(text.value())
}

fn structure(item: &ItemStruct) -> anyhow::Result<String> {
    let is_request = derives(&item.attrs, "Deserialize");
    let may_leave_out = serde(&item.attrs)?.has_default;
    let (parents, body) = fields(&item.fields, is_request, may_leave_out, "  ")?;
    let extends = if parents.is_empty() { String::new() } else { format!(" extends {}", parents.join(", ")) };
    Ok(format!("{}export interface {}{extends} {{\n{body}}}\n", comment(&item.attrs, ""), item.ident))
}

/// The types of flattened fields, and the lines of the others.
fn fields(
    fields: &Fields,
    is_request: bool,
    may_leave_out: bool,
    indent: &str,
) -> anyhow::Result<(Vec<String>, String)> {
    let Fields::Named(named) = fields else { bail!("only named fields have names in JSON") };
    let (mut parents, mut body) = (Vec::new(), String::new());
    for field in &named.named {
        let serde = serde(&field.attrs)?;
        let name = field_name(field, &serde)?;
        let shape = shape(&field.ty).with_context(|| format!("field {name}"))?;
        if serde.is_flat {
            parents.push(shape);
            continue;
        }
        let optional = is_request && (may_leave_out || serde.has_default || shape.ends_with("| null"));
        let mark = if optional { "?" } else { "" };
        body.push_str(&format!("{}{indent}{name}{mark}: {shape};\n", comment(&field.attrs, indent)));
    }
    Ok((parents, body))
}

fn field_name(field: &Field, serde: &Serde) -> anyhow::Result<String> {
    let name = field.ident.as_ref().context("a field without a name")?.to_string();
    Ok(serde.rename.clone().unwrap_or_else(|| name.trim_start_matches("r#").to_owned()))
}

fn enumeration(item: &ItemEnum) -> anyhow::Result<String> {
    let serde = serde(&item.attrs)?;
    if !serde.is_snake_case {
        bail!("an enum of the wire is written in snake_case");
    }
    let mut options = String::new();
    for variant in &item.variants {
        let name = snake_case(&variant.ident.to_string());
        let shape = match (&serde.tag, &variant.fields) {
            (None, Fields::Unit) => format!("\"{name}\""),
            (Some(tag), Fields::Unit) => format!("{{ {tag}: \"{name}\" }}"),
            (Some(tag), Fields::Unnamed(inner)) if inner.unnamed.len() == 1 => {
                let inner = inner.unnamed.first().context("a variant holds nothing")?;
                format!("({{ {tag}: \"{name}\" }} & {})", shape(&inner.ty)?)
            }
            (Some(tag), named @ Fields::Named(_)) => {
                let (_, body) = fields(named, false, false, "    ")?;
                format!("{{\n    {tag}: \"{name}\";\n{body}  }}")
            }
            _ => bail!("variant {} has no shape in JSON known here", variant.ident),
        };
        options.push_str(&format!("\n{}  | {shape}", comment(&variant.attrs, "  ")));
    }
    Ok(format!("{}export type {} ={options};\n", comment(&item.attrs, ""), item.ident))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, character) in name.char_indices() {
        if character.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

fn shape(ty: &Type) -> anyhow::Result<String> {
    let path = match ty {
        Type::Path(path) => path,
        Type::Reference(reference) => return shape(&reference.elem),
        _ => bail!("only named types have a shape known here"),
    };
    let last = path.path.segments.last().context("a type has no name")?;
    let arguments = arguments(&last.arguments)?;
    let name = last.ident.to_string();
    Ok(match (name.as_str(), arguments.as_slice()) {
        ("String" | "str", []) => String::from("string"),
        ("bool", []) => String::from("boolean"),
        ("u8" | "u16" | "u32" | "i32" | "f64", []) => String::from("number"),
        ("u64" | "i64" | "usize" | "i128", []) => bail!("`{name}` loses digits in a browser: take `Integer`"),
        ("Value", []) => String::from("Json"),
        ("Option", [inner]) => format!("{inner} | null"),
        ("Vec", [inner]) if inner.contains(' ') => format!("({inner})[]"),
        ("Vec", [inner]) => format!("{inner}[]"),
        ("BTreeMap", [key, value]) if key == "string" => format!("Record<string, {value}>"),
        (_, []) => name,
        _ => bail!("`{name}` is not known here"),
    })
}

fn arguments(arguments: &PathArguments) -> anyhow::Result<Vec<String>> {
    let PathArguments::AngleBracketed(inner) = arguments else { return Ok(Vec::new()) };
    let mut shapes = Vec::new();
    for argument in &inner.args {
        match argument {
            GenericArgument::Type(ty) => shapes.push(shape(ty)?),
            GenericArgument::Lifetime(_) => {}
            _ => bail!("only types can be arguments here"),
        }
    }
    Ok(shapes)
}

/// Doc comments as a TypeScript comment, line by line.
fn comment(attributes: &[Attribute], indent: &str) -> String {
    let docs = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let lines: Vec<String> =
        docs.filter_map(|attribute| text(&attribute.meta)).map(|line| line.trim().replace("*/", "* /")).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let body: String = lines.iter().map(|line| format!("{indent} * {line}\n")).collect();
            format!("{indent}/**\n{body}{indent} */\n")
        }
    }
}
