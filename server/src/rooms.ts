import type { Room } from './app.ts';
import { routes as acceptance } from './acceptance/routes.ts';
import { routes as asset } from './asset/routes.ts';
import { routes as audit } from './audit/routes.ts';
import { routes as auth } from './auth/routes.ts';
import { routes as calendar } from './calendar/routes.ts';
import { routes as criticality } from './criticality/routes.ts';
import { logRoutes } from './deployment/log-routes.ts';
import { routes as deployment } from './deployment/routes.ts';
import { routes as distribution } from './distribution/routes.ts';
import { routes as feedSync } from './feed-sync/routes.ts';
import { uploadRoutes } from './feed-sync/upload-routes.ts';
import { routes as finding } from './finding/routes.ts';
import { routes as knowledge } from './knowledge/routes.ts';
import { routes as mitigation } from './mitigation/routes.ts';
import { routes as notify } from './notify/routes.ts';
import { routes as patchDenial } from './patch-denial/routes.ts';
import { routes as patchJob } from './patch-job/routes.ts';
import { routes as patch } from './patch/routes.ts';
import { routes as plan } from './plan/routes.ts';
import { routes as remediation } from './remediation/routes.ts';
import { routes as report } from './report/routes.ts';
import { routes as schedule } from './schedule/routes.ts';
import { routes as search } from './search/routes.ts';
import { routes as sla } from './sla/routes.ts';
import { routes as tag } from './tag/routes.ts';
import { routes as vulnerability } from './vulnerability/routes.ts';

/** Every room that answers over HTTP. */
export const rooms: readonly Room[] = [
  auth,
  audit,
  asset,
  tag,
  knowledge,
  feedSync,
  uploadRoutes,
  finding,
  patch,
  mitigation,
  vulnerability,
  acceptance,
  criticality,
  sla,
  search,
  report,
  remediation,
  patchDenial,
  patchJob,
  calendar,
  schedule,
  plan,
  deployment,
  logRoutes,
  notify,
  distribution,
];
