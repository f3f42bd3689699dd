import { Type } from 'typebox';
import { Tag, TagMembers, TagRequest } from '@fixpoint/contract/asset.ts';
import { List, ListQuery } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { changeMembers, createTag, removeTag, tagPage } from './commands.ts';

const params = Type.Object({ name: Type.String({ maxLength: 63 }) });
const tags = ['tag'];

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/tags',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Tags',
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: List(Tag) },
      },
    },
    async (request) => await tagPage(context, request.query),
  );
  app.post(
    '/api/v1/tags',
    {
      config: { permission: 'tag.write' },
      schema: { tags, summary: 'Make a tag', body: TagRequest, response: { 201: Tag } },
    },
    async (request, reply) => send(reply, await createTag(context, request.actor, request.body), 201),
  );
  app.delete(
    '/api/v1/tags/:name',
    {
      config: { permission: 'tag.write' },
      schema: { tags, summary: 'Delete a tag', params, response: { 200: Tag } },
    },
    async (request, reply) => send(reply, await removeTag(context, request.actor, request.params.name)),
  );
  app.put(
    '/api/v1/tags/:name/assets',
    {
      config: { permission: 'tag.write' },
      schema: { tags, summary: 'Add assets to a tag', params, body: TagMembers, response: { 200: Tag } },
    },
    async (request, reply) =>
      send(
        reply,
        await changeMembers(context, request.actor, {
          tag: request.params.name,
          assets: request.body.assets,
          action: 'add',
        }),
      ),
  );
  app.delete(
    '/api/v1/tags/:name/assets',
    {
      config: { permission: 'tag.write' },
      schema: { tags, summary: 'Take assets out of a tag', params, body: TagMembers, response: { 200: Tag } },
    },
    async (request, reply) =>
      send(
        reply,
        await changeMembers(context, request.actor, {
          tag: request.params.name,
          assets: request.body.assets,
          action: 'remove',
        }),
      ),
  );
};
