/** What other rooms ask of this one. */
export { assetsWithOpenTask } from './reads.ts';
export { afterInventory, assetHeard } from './report.ts';
export { hasActiveTask, ordersFor, type AskingAgent, type OrdersForAgent } from './orders.ts';
export { tick } from './tick.ts';
