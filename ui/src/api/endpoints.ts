// Each route once, with its types.

import type {
  Asset,
  Assets,
  Catalog,
  ColumnLineage,
  Dashboard,
  DashboardSummary,
  DetailRequest,
  Home,
  Lineage,
  Login,
  Quarantine,
  RecopyTable,
  Rows,
  Run,
  RunCancelled,
  RunStarted,
  RunWithSteps,
  Session,
  Sink,
  Source,
  SourceDetail,
  SourceTable,
  SqlAnswer,
  SqlCancelled,
  SqlPlan,
  SqlRequest,
  StartRun,
  SteerSource,
  TileAnswer,
  TileRequest,
  Topic,
  TopicDetail,
  TopicRecord,
} from '../wire'
import { call, get, send, text } from './request'

const part = encodeURIComponent

export const session = (signal?: AbortSignal) => get<Session>('/api/session', signal)
export const login = (body: Login) => send<Session>('POST', '/api/login', body)
export const logout = () => send<Session>('POST', '/api/logout')

export const home = (signal?: AbortSignal) => get<Home>('/api/home', signal)
export const dashboards = (signal?: AbortSignal) => get<DashboardSummary[]>('/api/dashboards', signal)
export const dashboard = (name: string, signal?: AbortSignal) => get<Dashboard>(`/api/dashboards/${part(name)}`, signal)
export const tile = (dashboard: string, tile: string, body: TileRequest, signal?: AbortSignal) =>
  send<TileAnswer>('POST', `/api/dashboards/${part(dashboard)}/tiles/${part(tile)}`, body, signal)
export const tileDetail = (dashboard: string, tile: string, body: DetailRequest, signal?: AbortSignal) =>
  send<Rows>('POST', `/api/dashboards/${part(dashboard)}/tiles/${part(tile)}/detail`, body, signal)

/** What the picture leaves out: the server lays out the rest as if it were all. */
export interface LineagePicture {
  readonly hidden: readonly string[]
  /** Shown whatever its kind. */
  readonly focus: string | null
  /** Only the focus and its family. */
  readonly only: boolean
}
export const lineage = ({ hidden, focus, only }: LineagePicture, signal?: AbortSignal) => {
  const query = new URLSearchParams()
  if (hidden.length > 0) query.set('hide', hidden.join(','))
  if (focus !== null) query.set('focus', focus)
  if (focus !== null && only) query.set('only', 'true')
  return get<Lineage>(`/api/lineage?${query}`, signal)
}
export const assets = (signal?: AbortSignal) => get<Assets>('/api/assets', signal)
export const asset = (name: string, signal?: AbortSignal) => get<Asset>(`/api/assets/${part(name)}`, signal)
export const columns = (name: string, signal?: AbortSignal) =>
  get<ColumnLineage>(`/api/assets/${part(name)}/columns`, signal)
export const sample = (name: string, signal?: AbortSignal) =>
  get<Rows>(`/api/assets/${part(name)}/sample?limit=50`, signal)

export const runs = (limit: number, signal?: AbortSignal) => get<Run[]>(`/api/runs?limit=${limit}`, signal)
export const run = (id: string, signal?: AbortSignal) => get<RunWithSteps>(`/api/runs/${part(id)}`, signal)
export const runLog = (id: string, signal?: AbortSignal) => text(`/api/runs/${part(id)}/log`, signal)
export const startRun = (body: StartRun) => send<RunStarted>('POST', '/api/runs?wait=false', body)
export const cancelRun = (id: string) => send<RunCancelled>('POST', `/api/runs/${part(id)}/cancel`)
export const rerun = (id: string, failedOnly: boolean) =>
  send<RunStarted>('POST', `/api/runs/${part(id)}/rerun`, { failed_only: failedOnly })

export const topics = (signal?: AbortSignal) => get<Topic[]>('/api/topics', signal)
export const topic = (name: string, signal?: AbortSignal) => get<TopicDetail>(`/api/topics/${part(name)}`, signal)
export const tail = (name: string, limit: number, signal?: AbortSignal) =>
  get<TopicRecord[]>(`/api/topics/${part(name)}/tail?limit=${limit}`, signal)
export const sources = (signal?: AbortSignal) => get<Source[]>('/api/sources', signal)
export const source = (name: string, signal?: AbortSignal) => get<SourceDetail>(`/api/sources/${part(name)}`, signal)
export const sourceTables = (name: string, signal?: AbortSignal) =>
  get<SourceTable[]>(`/api/sources/${part(name)}/tables`, signal)
/** What can be asked of a source. */
export type Steering = 'pause' | 'resume' | 'restart'
export const steer = (name: string, what: Steering, body: SteerSource) =>
  send<Source>('POST', `/api/sources/${part(name)}/${what}`, body)
export const recopy = (name: string, body: RecopyTable) =>
  send<Source>('POST', `/api/sources/${part(name)}/recopy`, body)
export const sinks = (signal?: AbortSignal) => get<Sink[]>('/api/sinks', signal)
export const quarantine = (signal?: AbortSignal) => get<Quarantine>('/api/quarantine', signal)

export const catalog = (signal?: AbortSignal) => get<Catalog>('/api/catalog', signal)
export const sql = (body: SqlRequest, limit: number, signal?: AbortSignal) =>
  send<SqlAnswer>('POST', `/api/sql?format=json&limit=${limit}`, body, signal)
export const sqlFile = (body: SqlRequest, format: 'csv' | 'parquet' | 'arrow', signal?: AbortSignal) =>
  call('POST', `/api/sql?format=${format}`, body, signal)
export const explain = (body: SqlRequest, signal?: AbortSignal) =>
  send<SqlPlan>('POST', '/api/sql/explain', body, signal)
export const cancelSql = (id: string) => send<SqlCancelled>('DELETE', `/api/sql/${part(id)}`)
