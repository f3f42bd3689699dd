import { Type } from 'typebox';
import { List } from '@fixpoint/contract/list.ts';
import {
  Tag,
  TagChangeRequest,
  TagDetail,
  TagListQuery,
  TagMembers,
  TagPreview,
  TagPreviewRequest,
  TagRequest,
  TagWhy,
  TagWhyQuery,
} from '@fixpoint/contract/tag.ts';
import { send, type Room } from '../app.ts';
import { changeMembers, changeTag, createTag, removeTag } from './commands.ts';
import { previewTagChange } from './preview.ts';
import { tagDetail, tagPage, tagWhy } from './reads.ts';

const params = Type.Object({ name: Type.String({ maxLength: 63 }) });
const tags = ['tag'];
const read = { permission: 'read' } as const;
const write = { permission: 'tag.write' } as const;

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/tags',
    {
      config: read,
      schema: {
        tags,
        summary: 'Tags with how many assets are in them',
        querystring: TagListQuery,
        response: { 200: List(Tag) },
      },
    },
    async (request) => await tagPage(context, request.query),
  );
  app.post(
    '/api/v1/tags',
    {
      config: write,
      schema: { tags, summary: 'Make a tag', body: TagRequest, response: { 201: Tag } },
    },
    async (request, reply) => send(reply, await createTag(context, request.actor, request.body), 201),
  );
  app.post(
    '/api/v1/tags/preview',
    {
      config: read,
      schema: {
        tags,
        summary: 'Who would enter and leave if a tag were saved or deleted; nothing is changed',
        body: TagPreviewRequest,
        response: { 200: TagPreview },
      },
    },
    async (request, reply) => send(reply, await previewTagChange(context, request.body)),
  );
  app.get(
    '/api/v1/tags/:name',
    {
      config: read,
      schema: {
        tags,
        summary: 'One tag, what it needs and who needs it',
        params,
        response: { 200: TagDetail },
      },
    },
    async (request, reply) => send(reply, await tagDetail(context, request.params.name)),
  );
  app.patch(
    '/api/v1/tags/:name',
    {
      config: write,
      schema: {
        tags,
        summary: 'Change a tag; what is not given stays',
        params,
        body: TagChangeRequest,
        response: { 200: Tag },
      },
    },
    async (request, reply) =>
      send(reply, await changeTag(context, request.actor, request.params.name, request.body)),
  );
  app.delete(
    '/api/v1/tags/:name',
    {
      config: write,
      schema: { tags, summary: 'Delete a tag that nothing names', params, response: { 200: Tag } },
    },
    async (request, reply) => send(reply, await removeTag(context, request.actor, request.params.name)),
  );
  app.get(
    '/api/v1/tags/:name/why',
    {
      config: read,
      schema: {
        tags,
        summary: 'Why an asset is in a tag, is not, or why that cannot be said',
        params,
        querystring: TagWhyQuery,
        response: { 200: TagWhy },
      },
    },
    async (request, reply) => send(reply, await tagWhy(context, request.params.name, request.query.asset)),
  );
  for (const [method, action, summary] of [
    ['PUT', 'add', 'Add assets to a tag that is a list'],
    ['DELETE', 'remove', 'Take assets out of a tag that is a list'],
  ] as const) {
    app.route({
      method,
      url: '/api/v1/tags/:name/assets',
      config: write,
      schema: { tags, summary, params, body: TagMembers, response: { 200: Tag } },
      handler: async (request, reply) => {
        const change = { tag: request.params.name, assets: request.body.assets, action };
        return send(reply, await changeMembers(context, request.actor, change));
      },
    });
  }
};
