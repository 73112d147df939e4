//! SUM of whole numbers that notices when it leaves its 64 bits, where the engine's own wraps around.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

use super::arguments::converted;

/// What sums of whole numbers are kept in until they are done.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// The engine's SUM, with whole numbers summed up in 128 bits.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedSum {
    plain: Arc<AggregateUDF>,
}

impl CheckedSum {
    pub(super) fn new() -> Self {
        Self { plain: sum_udaf() }
    }
}

/// Whether this sum is one of whole numbers; sums of distinct ones are left to the engine.
fn is_whole(args: &AccumulatorArgs<'_>) -> bool {
    !args.is_distinct && *args.return_field.data_type() == DataType::Int64
}

/// The same sum, of wide numbers.
fn widened<'a>(args: &AccumulatorArgs<'a>, fields: &'a [FieldRef]) -> AccumulatorArgs<'a> {
    AccumulatorArgs {
        return_field: Arc::new(Field::new(args.return_field.name(), WIDE, true)),
        schema: args.schema,
        ignore_nulls: args.ignore_nulls,
        order_bys: args.order_bys,
        is_reversed: args.is_reversed,
        name: args.name,
        is_distinct: args.is_distinct,
        exprs: args.exprs,
        expr_fields: fields,
    }
}

fn wide_fields(args: &AccumulatorArgs<'_>) -> Vec<FieldRef> {
    args.expr_fields.iter().map(|field| Arc::new(Field::new(field.name(), WIDE, true)) as FieldRef).collect()
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.plain.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.plain.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !is_whole(&args) {
            return self.plain.accumulator(args);
        }
        let fields = wide_fields(&args);
        Ok(Box::new(Wide(self.plain.accumulator(widened(&args, &fields))?)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !is_whole(&args) {
            return self.plain.create_sliding_accumulator(args);
        }
        let fields = wide_fields(&args);
        Ok(Box::new(Wide(self.plain.create_sliding_accumulator(widened(&args, &fields))?)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct || *args.return_field.data_type() != DataType::Int64 {
            return self.plain.state_fields(args);
        }
        let return_field = Arc::new(Field::new(args.return_field.name(), WIDE, true));
        self.plain.state_fields(StateFieldsArgs { return_field, ..args })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if !is_whole(&args) {
            return self.plain.create_groups_accumulator(args);
        }
        let fields = wide_fields(&args);
        Ok(Box::new(WideGroups(self.plain.create_groups_accumulator(widened(&args, &fields))?)))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> datafusion::logical_expr::utils::AggregateOrderSensitivity {
        datafusion::logical_expr::utils::AggregateOrderSensitivity::Insensitive
    }
}

fn too_large() -> datafusion::error::DataFusionError {
    exec_datafusion_err!("a sum of whole numbers leaves the range of 64 bits; sum decimals instead")
}

fn wide(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    values.iter().map(|array| converted(array, &WIDE)).collect()
}

#[derive(Debug)]
struct Wide(Box<dyn Accumulator>);

impl Accumulator for Wide {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&wide(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&wide(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()?.cast_to(&DataType::Int64).map_err(|_| too_large())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

struct WideGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for WideGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.0.update_batch(&wide(values)?, groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.0.merge_batch(states, groups, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        converted(&self.0.evaluate(emit_to)?, &DataType::Int64).map_err(|_| too_large())
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&wide(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
