/** What other rooms ask of this one. */
export { assetsWithOpenTask } from './reads.ts';
export { afterInventory, assetHeard } from './report.ts';
export { rebootMembers } from './reboots.ts';
export { hasActiveTask, isWorkUnderWay, ordersFor, type AskingAgent, type OrdersForAgent } from './orders.ts';
export { forgetTaskLogs } from './log.ts';
export { noticeStuckTasks } from './stuck.ts';
export { tick } from './tick.ts';
