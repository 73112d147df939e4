import type { Filter, Json } from '../../wire'

/** What every control of a filter is given. */
export interface FilterProps {
  filter: Filter
  value: Json
  onchoose: (value: Json) => void
}
