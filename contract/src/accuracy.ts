import { Type, type Static } from 'typebox';
import { differenceKinds } from '@fixpoint/core/plan/accuracy.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import { oneOf } from './enum.ts';

const closed = { additionalProperties: false } as const;
const uuid = Type.String({ format: 'uuid' });
const count = Type.Integer({ minimum: 0 });

/** GET /api/v1/deployments/:id/accuracy: what the assets predicted, beside what happened. */
export const DeploymentAccuracy = Type.Object(
  {
    deployment_id: uuid,
    /** Null: it was started without a plan whose assets were asked. */
    plan_id: Type.Union([uuid, Type.Null()]),
    totals: Type.Object(
      {
        tasks: count,
        compared: count,
        as_predicted: count,
        /** Number of differences of each kind that occurs. */
        differences: Type.Record(Type.String(), count),
        /** Of the compared tasks whose agent has told. */
        download_bytes: Type.Object({ predicted: count, actual: count }, closed),
      },
      closed,
    ),
    tasks: Type.Array(
      Type.Object(
        {
          task_id: uuid,
          asset_id: uuid,
          hostname: Type.String(),
          state: oneOf(taskStates),
          /** Why it was not compared; null when it was. */
          not_compared: Type.Union([
            Type.Literal('not_simulated'),
            Type.Literal('not_installed'),
            Type.Null(),
          ]),
          differences: Type.Array(
            Type.Object(
              {
                kind: oneOf(differenceKinds),
                subject: Type.String(),
                predicted: Type.String(),
                actual: Type.String(),
              },
              closed,
            ),
          ),
          download_bytes: Type.Object({ predicted: count, actual: Type.Union([count, Type.Null()]) }, closed),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type DeploymentAccuracy = Static<typeof DeploymentAccuracy>;
