/** What other rooms ask of this one. */
export { afterInventory, assetHeard } from './report.ts';
export { hasActiveTask, ordersFor, type AskingAgent, type OrdersForAgent } from './orders.ts';
export { tick } from './tick.ts';
