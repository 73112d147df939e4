//! Where columns come from, without a table in the lake.

use arrow::datatypes::{DataType, Field, Schema};

use super::*;

fn outlined() -> Session {
    let mut session = newest(&engine());
    let column = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let orders = [
        column("id", DataType::Int64),
        column("customer", DataType::Int64),
        column("amount", DataType::Decimal128(18, 2)),
        column("tags", DataType::new_list(DataType::Utf8, true)),
    ];
    session.outline(TableName::new("main", "orders"), Arc::new(Schema::new(orders.to_vec())));
    let customers = [column("id", DataType::Int64), column("name", DataType::Utf8), column("region", DataType::Utf8)];
    session.outline(TableName::new("raw", "customers"), Arc::new(Schema::new(customers.to_vec())));
    session
}

/// Each column as `name type = origin` when it is a copy, `name type < origins` when it is computed, `name type` when it
/// comes from nowhere.
async fn check_trace(sql: &str, expected: &[&str]) {
    let traced = outlined().trace(sql).await.unwrap();
    let shown = |column: crate::TracedColumn| {
        let origins = column.origins.iter().map(|origin| format!("{}.{}", origin.relation.table, origin.column));
        let origins: Vec<String> = origins.collect();
        let from = match (origins.is_empty(), column.is_copy) {
            (true, _) => String::new(),
            (_, true) => format!(" = {}", origins.join(" ")),
            (_, false) => format!(" < {}", origins.join(" ")),
        };
        format!("{} {}{from}", column.name, crate::sql_type_name(&column.data_type))
    };
    let found: Vec<String> = traced.into_iter().map(shown).collect();
    assert_eq!(found, expected, "{sql}");
}

#[tokio::test]
async fn a_column_is_traced_to_the_columns_its_values_come_from() {
    check_trace(
        "select id, amount as total from orders",
        &["id BIGINT = orders.id", "total DECIMAL(18, 2) = orders.amount"],
    )
    .await;
    check_trace(
        "select o.id, name from orders o join raw.customers c on o.customer = c.id where region = 'x'",
        &["id BIGINT = orders.id", "name VARCHAR = customers.name"],
    )
    .await;
    check_trace(
        "select amount * 2 as twice, 1 as one, coalesce(customer, id) as either from orders",
        &["twice DECIMAL(38, 2) < orders.amount", "one BIGINT", "either BIGINT < orders.customer orders.id"],
    )
    .await;
    check_trace(
        "select customer, sum(amount) as total, count(*) as n from orders group by customer",
        &["customer BIGINT = orders.customer", "total DECIMAL(28, 2) < orders.amount", "n BIGINT"],
    )
    .await;
    check_trace(
        "select customer, id, sum(amount) as total from orders group by rollup (customer, id)",
        &["customer BIGINT = orders.customer", "id BIGINT = orders.id", "total DECIMAL(28, 2) < orders.amount"],
    )
    .await;
    check_trace(
        "select id, row_number() over (partition by customer order by amount) as place from orders",
        &["id BIGINT = orders.id", "place BIGINT UNSIGNED < orders.amount orders.customer"],
    )
    .await;
    check_trace(
        "select id, name from raw.customers union all select id, cast(amount as varchar) from orders",
        &["id BIGINT = orders.id customers.id", "name VARCHAR < orders.amount customers.name"],
    )
    .await;
    check_trace("with big as (select * from orders where amount > 10), named as (select id as key from big) select key from named", &[
        "key BIGINT = orders.id",
    ])
    .await;
    check_trace("select id, unnest(tags) as tag from orders", &["id BIGINT = orders.id", "tag VARCHAR < orders.tags"])
        .await;
    check_trace(
        "select id, (select max(name) from raw.customers c where c.id = o.customer) as name from orders o",
        &["id BIGINT = orders.id", "name VARCHAR < customers.name"],
    )
    .await;
    check_trace("select id from orders where customer in (select id from raw.customers)", &["id BIGINT = orders.id"])
        .await;
    check_trace(
        "select distinct on (customer) customer, amount from orders order by customer, id",
        &["customer BIGINT = orders.customer", "amount DECIMAL(18, 2) = orders.amount"],
    )
    .await;
    check_trace(
        "with recursive tree as (select id, customer from orders union all select tree.id, c.id from tree join raw.customers c on c.id = tree.customer) select * from tree",
        &["id BIGINT = orders.id", "customer BIGINT = orders.customer customers.id"],
    )
    .await;
    check_trace("select n from (values (1), (2)) as v(n)", &["n BIGINT"]).await;
}

#[tokio::test]
async fn a_column_that_is_not_there_is_told_with_its_place_and_what_was_meant() {
    let check = async |sql: &str, column: &str, position: Option<(u32, u32)>, hint: &str| {
        use headwater_project::Classify;
        let failure = outlined().trace(sql).await.unwrap_err().failure();
        assert_eq!(failure.message, format!("there is no column `{column}`"));
        assert_eq!(failure.position.map(|place| (place.line, place.column)), position, "{sql}");
        assert_eq!(failure.hint.as_deref(), Some(hint));
        assert_eq!(failure.detail, None);
    };
    let known = "Known columns: id, customer, amount, tags.";
    check("select id,\n  amout\nfrom orders", "amout", Some((2, 3)), &format!("Did you mean `amount`? {known}")).await;
    check("select zzz from orders", "zzz", Some((1, 8)), known).await;
    check(
        "select c.nam from orders o join raw.customers c on o.id = c.id",
        "c.nam",
        Some((1, 8)),
        "Did you mean `name`? Known columns: o.id, customer, amount, tags, c.id, name, region.",
    )
    .await;
}

/// For each column of `orders` the columns that are made of it alone, or `?` where more depends on it.
async fn check_made_of(sql: &str, expected: &[&str]) {
    let columns = ["id", "customer", "amount"].map(|name| Field::new(name, DataType::Int64, true));
    let (relation, columns) = (TableName::new("main", "orders"), Arc::new(Schema::new(columns.to_vec())));
    let planned = newest(&engine()).row_expressions(sql, &relation, &columns).await.unwrap();
    let shown = |name: &str| {
        let made = planned.made_of(name).map(|places| {
            let names = places.iter().map(|place| planned.schema().field(*place).name().as_str());
            names.collect::<Vec<_>>().join(" ")
        });
        made.unwrap_or_else(|| String::from("?"))
    };
    assert_eq!(["id", "customer", "amount"].map(shown), expected, "{sql}");
}

#[tokio::test]
async fn what_is_made_of_one_column_alone_is_known() {
    check_made_of("select * from orders", &["id", "customer", "amount"]).await;
    check_made_of("select id, amount * 2 as twice, amount from orders", &["id", "", "twice amount"]).await;
    check_made_of("select id, amount + customer as sum from orders", &["id", "?", "?"]).await;
    check_made_of("select id, amount from orders where customer > 1", &["id", "?", "amount"]).await;
    check_made_of("select n from (select id + 1 as n, amount from orders) where n > 1", &["?", "?", "?"]).await;
}
