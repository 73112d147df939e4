//! `modules.itertools`: the functions templates use, all of them giving lists.

use minijinja::value::Tuple;
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::method::Methods;
use super::value::{List, invalid};

/// More than this is a mistake in a template.
const MAX_ITEMS: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Itertools;

impl Methods for Itertools {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        let lists = || arguments.positional.iter().map(items).collect::<Result<Vec<_>, _>>();
        let size = || arguments.get(1, "r").and_then(|size| size.as_usize());
        match method {
            "product" => {
                let repeat = arguments.named("repeat").and_then(Value::as_usize).unwrap_or(1);
                let lists = lists()?;
                let all: Vec<Vec<Value>> = (0..repeat).flat_map(|_| lists.clone()).collect();
                product(&all)
            }
            "chain" => Ok(List::of(lists()?.concat())),
            "combinations" | "permutations" => {
                let pool = items(&arguments.required(0, "iterable")?)?;
                let size = size().unwrap_or(pool.len());
                chosen(&pool, size, method == "permutations")
            }
            "zip_longest" => {
                let fill = arguments.named("fillvalue").cloned().unwrap_or_else(|| Value::from(()));
                let lists = lists()?;
                let len = lists.iter().map(Vec::len).max().unwrap_or(0);
                let row = |at| tuple(lists.iter().map(|list| list.get(at).unwrap_or(&fill).clone()).collect());
                Ok(List::of((0..len).map(row).collect()))
            }
            "islice" => {
                let pool = items(&arguments.required(0, "iterable")?)?;
                let first = size().unwrap_or(pool.len());
                let stop = arguments.get(2, "stop").and_then(|stop| stop.as_usize());
                let (start, stop) = stop.map_or((0, first), |stop| (first, stop));
                Ok(List::of(pool.into_iter().take(stop).skip(start).collect()))
            }
            "accumulate" => {
                let mut total = 0.0;
                let mut sums = Vec::new();
                for item in items(&arguments.required(0, "iterable")?)? {
                    total += f64::try_from(item).map_err(|_| invalid("accumulate adds numbers"))?;
                    sums.push(if total.fract() == 0.0 { Value::from(total as i64) } else { Value::from(total) });
                }
                Ok(List::of(sums))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn items(value: &Value) -> Result<Vec<Value>, Error> {
    Ok(value.try_iter()?.collect())
}

fn tuple(values: Vec<Value>) -> Value {
    Value::from(Tuple::from(values))
}

fn product(lists: &[Vec<Value>]) -> Result<Value, Error> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists {
        if rows.len().saturating_mul(list.len()) > MAX_ITEMS {
            return Err(invalid("the product of these lists is too long"));
        }
        rows = rows
            .iter()
            .flat_map(|row| list.iter().map(move |item| [row.as_slice(), std::slice::from_ref(item)].concat()))
            .collect();
    }
    Ok(List::of(rows.into_iter().map(tuple).collect()))
}

/// Choices of `size` items: by place ascending, or in every order.
fn chosen(pool: &[Value], size: usize, in_any_order: bool) -> Result<Value, Error> {
    let mut places: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let mut longer = Vec::new();
        for row in &places {
            let from = if in_any_order { 0 } else { row.last().map_or(0, |last| last + 1) };
            longer.extend((from..pool.len()).filter(|at| !row.contains(at)).map(|at| [row.as_slice(), &[at]].concat()));
        }
        if longer.len() > MAX_ITEMS {
            return Err(invalid("there are too many such choices"));
        }
        places = longer;
    }
    let row = |row: &Vec<usize>| tuple(row.iter().filter_map(|at| pool.get(*at).cloned()).collect());
    Ok(List::of(places.iter().map(row).collect()))
}
