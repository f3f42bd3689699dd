/** The schema library, for packages that describe values of their own (files that they keep) as the contract does its. */
export { Type, type Static, type TSchema } from 'typebox';
