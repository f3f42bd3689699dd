import { Type } from 'typebox';
import {
  AssetAttributes,
  AssetCriticality,
  AttributeBulkChange,
  AttributeBulkChanged,
  AttributeChange,
  CriticalityOrder,
  CriticalityPreview,
  CriticalityPreviewRequest,
  CriticalityRequest,
  CriticalityRule,
  CriticalityRuleChange,
  CriticalityRuleRequest,
  CriticalityRules,
} from '@fixpoint/contract/criticality.ts';
import { send, type Room } from '../app.ts';
import {
  assetAttributes,
  assetCriticality,
  changeAttributes,
  changeAttributesOfMany,
  setAssetCriticality,
} from './asset-commands.ts';
import {
  changeCriticalityRule,
  createCriticalityRule,
  criticalityRules,
  orderCriticalityRules,
  previewCriticality,
  removeCriticalityRule,
} from './commands.ts';

const asset = Type.Object({ id: Type.String({ maxLength: 255 }) });
const rule = Type.Object({ id: Type.String({ format: 'uuid' }) });
const tags = ['criticality'];

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/assets/:id/criticality',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'How critical an asset is, and why',
        params: asset,
        response: { 200: AssetCriticality },
      },
    },
    async (request, reply) => send(reply, await assetCriticality(context, request.params.id)),
  );
  app.put(
    '/api/v1/assets/:id/criticality',
    {
      config: { permission: 'asset.write' },
      schema: {
        tags,
        summary: 'Say how critical an asset is, or leave it to the rules',
        params: asset,
        body: CriticalityRequest,
        response: { 200: AssetCriticality },
      },
    },
    async (request, reply) =>
      send(reply, await setAssetCriticality(context, request.actor, request.params.id, request.body)),
  );
  app.get(
    '/api/v1/assets/:id/attributes',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Attributes of an asset',
        params: asset,
        response: { 200: AssetAttributes },
      },
    },
    async (request, reply) => send(reply, await assetAttributes(context, request.params.id)),
  );
  app.put(
    '/api/v1/assets/:id/attributes',
    {
      config: { permission: 'asset.write' },
      schema: {
        tags,
        summary: 'Set and remove attributes of an asset',
        params: asset,
        body: AttributeChange,
        response: { 200: AssetAttributes },
      },
    },
    async (request, reply) =>
      send(reply, await changeAttributes(context, request.actor, request.params.id, request.body)),
  );
  app.post(
    '/api/v1/assets/attributes',
    {
      config: { permission: 'asset.write' },
      schema: {
        tags,
        summary: 'Set and remove attributes of all assets that a query finds',
        body: AttributeBulkChange,
        response: { 200: AttributeBulkChanged },
      },
    },
    async (request, reply) => send(reply, await changeAttributesOfMany(context, request.actor, request.body)),
  );
  app.get(
    '/api/v1/criticality-rules',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'Criticality rules in their order', response: { 200: CriticalityRules } },
    },
    async () => await criticalityRules(context),
  );
  app.post(
    '/api/v1/criticality-rules',
    {
      config: { permission: 'rule.write' },
      schema: {
        tags,
        summary: 'Make a criticality rule, behind all others',
        body: CriticalityRuleRequest,
        response: { 201: CriticalityRule },
      },
    },
    async (request, reply) =>
      send(reply, await createCriticalityRule(context, request.actor, request.body), 201),
  );
  app.post(
    '/api/v1/criticality-rules/preview',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Whose criticality would be another with these rules',
        body: CriticalityPreviewRequest,
        response: { 200: CriticalityPreview },
      },
    },
    async (request, reply) => send(reply, await previewCriticality(context, request.body.rules)),
  );
  app.put(
    '/api/v1/criticality-rules/order',
    {
      config: { permission: 'rule.write' },
      schema: {
        tags,
        summary: 'Put all criticality rules in an order',
        body: CriticalityOrder,
        response: { 200: CriticalityRules },
      },
    },
    async (request, reply) =>
      send(reply, await orderCriticalityRules(context, request.actor, request.body.order)),
  );
  app.patch(
    '/api/v1/criticality-rules/:id',
    {
      config: { permission: 'rule.write' },
      schema: {
        tags,
        summary: 'Change a criticality rule',
        params: rule,
        body: CriticalityRuleChange,
        response: { 200: CriticalityRule },
      },
    },
    async (request, reply) =>
      send(reply, await changeCriticalityRule(context, request.actor, request.params.id, request.body)),
  );
  app.delete(
    '/api/v1/criticality-rules/:id',
    {
      config: { permission: 'rule.write' },
      schema: {
        tags,
        summary: 'Delete a criticality rule',
        params: rule,
        response: { 200: CriticalityRule },
      },
    },
    async (request, reply) =>
      send(reply, await removeCriticalityRule(context, request.actor, request.params.id)),
  );
};
